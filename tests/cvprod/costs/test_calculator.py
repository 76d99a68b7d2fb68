"""The calculator's script gives the sums of Python, in node and in a browser, and follows the price list."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from cvprod.costs import Workload, offers, plan, recommend
from cvprod.costs.calculator import SCRIPT, data, page

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node (Debian package nodejs)")
RUN = """
const { compute } = require(process.argv[1]);
const { data, inputs } = JSON.parse(require("fs").readFileSync(0, "utf-8"));
process.stdout.write(JSON.stringify(inputs.map((input) => compute(data, input))));
"""


def inputs(n=60, seed=0):
    """Inputs all over their ranges."""
    random = np.random.default_rng(seed)
    return [
        {
            "tilesPerS": float(10 ** random.uniform(0, 4)), "peak": float(10 ** random.uniform(-2, 4)),
            "share": float(random.uniform(0.01, 1)), "hours": float(random.uniform(1, 8760)),
            "callMs": float(10 ** random.uniform(0, 4)), "tilesPerCall": int(random.integers(1, 65)),
            "interruptible": bool(random.integers(2)), "europe": bool(random.integers(2)),
        }
        for _ in range(n)
    ]  # fmt: skip


def in_python(prices, speed, given):
    """The same by cvprod.costs, with nothing said about latency, links or the way tiles come."""
    mine = replace(speed, tiles_per_s=given["tilesPerS"], call_ms={given["tilesPerCall"]: given["callMs"]}, p99_ms=1e-9)
    work = Workload(
        "w", given["peak"], given["share"], given["hours"], 1e12, together=10**6, interruptible=given["interruptible"],
        europe=given["europe"],
    )  # fmt: skip
    return [plan(replace(option, p99_ms=0.0), work) for option in offers(prices, mine)]


def in_node(prices, speed, given):
    asked = json.dumps({"data": data(prices, speed), "inputs": given})
    done = subprocess.run([NODE, "-e", RUN, str(SCRIPT)], input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_node_and_python_agree_to_the_last_digit(prices, speed):
    given = inputs()
    for one, plans in zip(given, in_node(prices, speed, given), strict=True):
        expected = {(re.sub(r", \d+ tiles a call", "", p.option.name), p.option.provider, p.option.region): p for p in
                    in_python(prices, speed, one)}  # fmt: skip
        assert len(plans) == len(expected)
        for found in plans:
            mine = expected[found["name"], found["provider"], found["region"]]
            assert found["units"] == mine.units and tuple(found["broken"]) == mine.broken, (one, found)
            assert found["eurPerYear"] == pytest.approx(mine.eur_per_year, rel=1e-12)
            assert found["eurPerMillion"] == pytest.approx(mine.eur_per_million, rel=1e-12)
        best = recommend(expected.values())
        if best:
            assert plans[0]["eurPerYear"] == pytest.approx(best.eur_per_year, rel=1e-12) and not plans[0]["broken"]
        else:
            assert all(found["broken"] for found in plans)


@needs_node
def test_another_price_makes_another_sum(prices, speed):
    given = inputs(1)
    before, after = (in_node(list_, speed, given)[0] for list_ in (prices, prices.with_values(aws_c7i_large_eu=9.0)))
    cost = [next(p["eurPerYear"] for p in plans if p["name"] == "c7i.large" and p["region"] == "eu-central-1")
            for plans in (before, after)]  # fmt: skip
    assert cost[1] / cost[0] == pytest.approx(9.0 / prices["aws_c7i_large_eu"].value)


def test_the_page_holds_everything_it_needs(prices, speed):
    html = page(prices, speed, peak=322, share=1, hours=7000)
    assert not re.search(r"(?:src|href)=|https?://", html.replace("</", "<"))
    fields = re.findall(r'<label[^>]*>([^<]+)<input name="(\w+)"', html)
    assert len(fields) == 6 and html.count("<label") == 8, "every field has its label"
    inside = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])
    assert inside == json.loads(json.dumps(data(prices, speed)))
    assert inside["prices"]["aws_c7i_large_eu"] == {"value": prices["aws_c7i_large_eu"].value, "currency": "USD"}


def test_a_browser_shows_what_python_says_to_the_cent(prices, speed, tmp_path):
    import importlib.util

    from cvprod.repo import root

    file = root() / "tests/site/chromium.py"
    if not file.is_file():
        pytest.skip("needs the repository's tests/site")
    spec = importlib.util.spec_from_file_location("chromium_of_site", file)
    chromium = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chromium)
    if chromium.executable() is None:
        pytest.skip("needs a Chromium on the PATH (Debian package chromium)")
    body = page(prices, speed, peak=322, share=1, hours=7000)
    (tmp_path / "index.html").write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><link rel=icon href=data:,><body>{body}</body></html>"
    )
    rows = "[...document.querySelectorAll('.cv-calculator tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    with chromium.Site(tmp_path) as site:
        browser = chromium.Chromium()
        try:
            browser.open(site.address)
            for given in ({}, {"peak": 5, "share": 0.05, "hours": 8760, "tilesPerCall": 16, "callMs": 40.5}):
                for name, value in given.items():
                    browser.run(
                        f"(() => {{ const f = document.querySelector('input[name={name}]'); f.value = '{value}'; "
                        "f.dispatchEvent(new Event('input', {bubbles: true})); })()"
                    )
                full = {"tilesPerS": 900.0, "peak": 322.0, "share": 1.0, "hours": 7000.0, "callMs": 3.4,
                        "tilesPerCall": 1, "interruptible": False, "europe": True} | given  # fmt: skip
                kept = sorted((p for p in in_python(prices, speed, full) if not p.broken), key=lambda p: p.eur_per_year)
                shown = browser.run(rows)
                for row, mine in zip(shown, kept, strict=False):
                    assert row[4:6] == [f"{mine.eur_per_year:.2f}", f"{mine.eur_per_million:.4f}"], (row, mine)
                said = browser.run("document.querySelector('[role=status]').textContent")
                assert f"{kept[0].eur_per_year:.2f} EUR a year" in said
            browser.run("(() => { const f = document.querySelector('input[name=peak]'); f.value = '-1'; "
                        "f.dispatchEvent(new Event('input', {bubbles: true})); })()")  # fmt: skip
            assert "out of its range" in browser.run("document.querySelector('[role=status]').textContent")
            assert not browser.complaints()
            outside = [url for url in browser.requests() if not url.startswith(site.address)]
            assert not outside
        finally:
            browser.close()
