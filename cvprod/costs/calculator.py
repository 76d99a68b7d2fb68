"""The calculator on the page: HTML with the price list and a script inside, that needs nothing from elsewhere.

The script (calculator.js) makes the sums of `options` and `plan`, without latency; tests hold it to them.
"""

from __future__ import annotations

import html
import json
from pathlib import Path

from cvprod.costs import serverless
from cvprod.costs.options import BUSY, EUROPE, Option, Speed, offers
from cvprod.costs.prices import Prices

SCRIPT = Path(__file__).with_name("calculator.js")
#: name -> (label, least, most, step)
FIELDS = {
    "tilesPerS": ("Tiles/s of your machine, two cores", 0.1, 1e6, "any"),
    "peak": ("Tiles/s at most", 0.001, 1e6, "any"),
    "share": ("Mean over peak, 0 to 1", 0.0001, 1, "any"),
    "hours": ("Hours a year", 1, 8760, "any"),
    "callMs": ("Milliseconds of a function's call", 0.1, 1e5, "any"),
    "tilesPerCall": ("Tiles in a call", 1, 1000, 1),
}
SWITCHES = {"interruptible": "Work may be interrupted", "europe": "Pictures stay in Europe"}


def data(prices: Prices, speed: Speed) -> dict:
    """What the script computes with: numbers of the price list, and the options they belong to."""
    machines = [one for one in offers(prices, speed) if one.kind != "function"]
    names = {name for one in machines if one.kind != "edge" for name in one.used}
    calls = _functions()
    names |= {name for one in calls for name in one["prices"]}
    return {
        "usd_in_eur": prices["usd_in_eur"].value,
        "busy": BUSY,
        "prices": {n: {"value": prices[n].value, "currency": prices[n].unit.partition("/")[0]} for n in sorted(names)},
        "edge": {
            "box": prices.amount("edge_box", "EUR"), "life": prices.amount("edge_box_life", "years"),
            "upkeep": prices.amount("edge_box_upkeep", "EUR/year"), "power": prices.amount("edge_box_power", "W"),
            "electricity": prices.amount("electricity", "EUR/kWh"),
        },
        "machines": [_described(prices, one) for one in machines],
        "functions": [one | _place(prices, one) for one in calls],
    }  # fmt: skip


def _described(prices: Prices, one: Option) -> dict:
    return {
        "name": one.name, "kind": one.kind, "provider": one.provider, "region": one.region, "europe": one.europe,
        "baseline": one.baseline, "prices": list(one.used), "marks": _marks(prices, one.used),
    }  # fmt: skip


def _place(prices: Prices, one: dict) -> dict:
    first = prices[one["prices"][0]]
    return {"kind": "function", "provider": first.provider, "region": first.region, "europe": first.region in EUROPE,
            "baseline": 1.0, "marks": _marks(prices, one["prices"])}  # fmt: skip


def _marks(prices: Prices, names: object) -> str:
    return ", ".join(dict.fromkeys(mark for n in names for mark in prices[n].marks().split(", ") if mark))


def _functions() -> list[dict]:
    found = []
    for where in ("us", "eu"):
        found.append({"name": "Lambda", "rule": "lambda", "gb": serverless.LAMBDA_GB,
                      "prices": [f"aws_lambda_gb_s_{where}", f"aws_lambda_call_{where}"]})  # fmt: skip
        found.append({"name": "Cloud Run", "rule": "run", "vcpu": serverless.RUN_VCPU, "gib": serverless.RUN_GIB,
                      "prices": [f"gcp_run_vcpu_{where}", f"gcp_run_gib_{where}", "gcp_function_call"]})  # fmt: skip
    found.append({"name": "Functions", "rule": "azure", "gb": serverless.AZURE_GB, "leastMs": serverless.AZURE_LEAST_MS,
                  "prices": ["azure_function_gb_s", "azure_function_call"]})  # fmt: skip
    return found


def page(prices: Prices, speed: Speed, *, peak: float, share: float, hours: float) -> str:
    """The calculator as HTML, filled with the reader's speed and one workload."""
    filled = {"tilesPerS": speed.tiles_per_s, "peak": peak, "share": share, "hours": hours,
              "callMs": speed.call_ms[1], "tilesPerCall": 1}  # fmt: skip
    fields = "".join(
        f'<label style="display:flex;flex-direction:column;gap:.2em">{html.escape(label)}<input name="{name}" '
        f'type="number" min="{least:g}" max="{most:.0f}" step="{step}" value="{filled[name]:.6g}" '
        'style="max-width:14em"></label>'
        for name, (label, least, most, step) in FIELDS.items()
    )
    fields += "".join(
        f'<label><input name="{name}" type="checkbox"{" checked" if name == "europe" else ""}> {label}</label>'
        for name, label in SWITCHES.items()
    )
    heads = ("option", "provider", "region", "units", "EUR a year", "EUR a million tiles", "breaks", "its prices")
    head = "".join(f'<th scope="col" style="text-align:left;padding:.3em .7em">{name}</th>' for name in heads)
    inside = json.dumps(data(prices, speed)).replace("</", "<\\/")
    return (
        '<div class="cv-calculator"><form style="display:grid;grid-template-columns:repeat(auto-fit,minmax(14em,1fr));'
        f'gap:.7em">{fields}</form><p role="status" style="font-weight:bold"></p>'
        '<div class="cv-table" role="group" aria-label="Plans, the cheapest first" tabindex="0" '
        'style="max-width:100%;overflow-x:auto"><table><caption style="caption-side:top;text-align:left">The twelve '
        f"cheapest plans; those that break something come last</caption><thead><tr>{head}</tr></thead>"
        f'<tbody></tbody></table></div><script type="application/json">{inside}</script>'
        f"<script>{SCRIPT.read_text('utf-8')}\n"
        "for (const box of document.querySelectorAll('.cv-calculator:not([data-started])')) "
        "{ box.dataset.started = '1'; cvprodCosts.start(box); }</script></div>"
    )
