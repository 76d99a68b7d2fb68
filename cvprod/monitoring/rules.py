"""Prometheus rules from the contract: ``python -m cvprod.monitoring rules`` writes deploy/monitoring/rules/slo.yml.

A number of the contract stands in a recording rule, in eight alerts and in their texts. Typed by hand, one of them is
forgotten when the contract changes, and nobody hears of it: an alert that cannot fire looks like a quiet night. What
does not follow from the contract (load, health, the watch itself) is written by hand in the files beside it.

Burn rates and windows: "The Site Reliability Workbook", chapter 5, "Alerting on SLOs" (sre.google/workbook).
"""

from __future__ import annotations

from dataclasses import dataclass

from cvprod.contract import Contract
from cvprod.repo import root

FOLDER = root() / "deploy" / "monitoring" / "rules"
#: Our own promise, which the plant did not ask for: the share of callers that may get a 5xx or, within the contract's
#: load, a refusal.
UNAVAILABLE = 0.001
#: What a 99th percentile leaves over.
SLOW = 0.01
PERIOD_HOURS = 30 * 24


@dataclass(frozen=True)
class Burn:
    """One burn-rate alert: so many times the allowed rate, over a long window (it matters) and over a twelfth of it
    (it still goes on), for so long."""

    name: str
    factor: float
    long: str
    short: str
    wait: str
    severity: str

    @property
    def spent(self) -> float:
        """Share of the period's budget that is gone when a steady burn of this rate has filled the long window."""
        return self.factor * hours(self.long) / PERIOD_HOURS


BURNS = (
    Burn("Fast", 14.4, "1h", "5m", "2m", "page"),
    Burn("Steadily", 6, "6h", "30m", "15m", "page"),
    Burn("Slowly", 3, "1d", "2h", "1h", "ticket"),
    Burn("Quietly", 1, "3d", "6h", "3h", "ticket"),
)
WINDOWS = tuple(dict.fromkeys(w for b in BURNS for w in (b.short, b.long)))


def hours(window: str) -> float:
    """Hours of a Prometheus duration such as 5m, 6h or 3d. Raises ValueError for another."""
    unit = {"s": 1 / 3600, "m": 1 / 60, "h": 1.0, "d": 24.0}.get(window[-1:])
    if unit is None or not window[:-1].isdigit():
        raise ValueError(f"{window!r} is no duration: write a number and s, m, h or d, such as 5m")
    return int(window[:-1]) * unit


def detection_seconds(burn: Burn, share: float, allowed: float) -> float:
    """How long after its beginning a steady share of bad events fires this alert, without `for`; inf where never.

    Both windows were empty of bad events before; the long one decides.
    """
    limit = burn.factor * allowed
    return hours(burn.long) * 3600 * limit / share if share > limit else float("inf")


def slow_ratio(window: str, limit_s: float) -> str:
    """PromQL: share of answered inspections that took longer than the limit."""
    route = 'route="/v1/inspect"'
    return (
        "clamp_min(\n"
        f"  sum(rate(cvprod_request_seconds_count{{{route}}}[{window}]))\n"
        f'    - sum(rate(cvprod_request_seconds_bucket{{{route}, le="{limit_s:g}"}}[{window}])),\n'
        "  0\n"
        ")\n"
        f'/ sum(rate(cvprod_requests_total{{{route}, code=~"200|504"}}[{window}]))'
    )


#: What was refused for lack of time while the line asked for no more than the contract promises to carry.
REFUSED_WITHIN = "inspection:refused_within_contract:rate5m"


def refused_within(tiles_per_s: float) -> str:
    """PromQL: refusals a second, where no more was asked for than `tiles_per_s`; 0 where more was."""
    tiles = "(sum(rate(cvprod_batch_images_sum[5m])) or vector(0))"
    refused = '(sum(rate(cvprod_rejected_total{reason="overloaded"}[5m])) or vector(0))'
    return f"{refused}\n* ({tiles} + {refused} <= bool {tiles_per_s:g})"


def failed_ratio(window: str) -> str:
    """PromQL: share of callers at the balancer that got a 5xx, or a refusal although the contract's load was kept."""
    every = 'haproxy_frontend_http_responses_total{proxy="inspection"'
    return (
        f'(\n  sum(rate({every}, code="5xx"}}[{window}]))\n'
        f"    + (avg_over_time({REFUSED_WITHIN}[{window}]) or vector(0))\n)\n"
        f"/ sum(rate({every}}}[{window}]))"
    )


def burn_alerts(
    promise: str, series: str, allowed: float, did: str, look: str, extra: str = "", burns: tuple[Burn, ...] = BURNS
) -> list[str]:
    """Alerts as YAML. `extra`: a condition more for those that page."""
    made = []
    for b in burns:
        more = f"\nand on () {extra}" if extra and b.severity == "page" else ""
        expression = (
            f"inspection:{series}:ratio_rate{b.long} > {b.factor:g} * {allowed:g}\n"
            f"and inspection:{series}:ratio_rate{b.short} > {b.factor:g} * {allowed:g}{more}"
        )
        made.append(
            f"- alert: {promise}BudgetBurns{b.name}\n"
            f"  expr: |\n{_indent(expression, 4)}\n"
            f"  for: {b.wait}\n"
            f"  labels: {{severity: {b.severity}, slo: {promise.lower()}}}\n"
            "  annotations:\n"
            f'    summary: "{{{{ $value | humanizePercentage }}}} of inspections in {b.long} {did}"\n'
            f'    description: "At this rate {b.spent * 100:.3g} % of a month\'s budget is gone in {b.long}. {look}"'
        )
    return made


def records(series: str, make, windows: tuple[str, ...] = WINDOWS) -> list[str]:
    """Recording rules as YAML, one a window."""
    return [f"- record: inspection:{series}:ratio_rate{w}\n  expr: |\n{_indent(make(w), 4)}" for w in windows]


def quality_alerts(contract: Contract) -> list[str]:
    """Alerts on audited labels: only where the whole interval lies beyond the limit. Few labels decide nothing."""
    found = []
    for metric, limit, bound, sign, word in (
        ("defect_recall", contract.defect_recall.limit, "high", "<", "of defects are found"),
        ("false_reject_rate", contract.false_reject_rate.limit, "low", ">", "of clean tiles are rejected"),
    ):
        name = "".join(part.capitalize() for part in metric.split("_")) + "Broken"
        found.append(
            f"- alert: {name}\n"
            f'  expr: cvprod_quality{{metric="{metric}", bound="{bound}"}} {sign} {limit:g}\n'
            "  for: 5m\n"
            "  labels: {severity: page, slo: quality}\n"
            "  annotations:\n"
            f'    summary: "{"At most" if bound == "high" else "At least"} {{{{ $value | humanizePercentage }}}} '
            f'{word}; the contract says {limit:.0%}"\n'
            '    description: "By audited labels, 95 % interval. Take the last model back if it is new; else look at '
            'which class and which coil."'
        )
    return found


def files(contract: Contract) -> dict[str, str]:
    """Name -> text of every generated file. Raises ValueError where the limit is no bucket of the histogram."""
    from cvprod.serving.metrics import SECONDS

    limit = contract.p99_latency_ms.limit / 1e3
    if limit not in SECONDS:
        raise ValueError(
            f"p99_latency_ms is {limit * 1e3:g} ms, which is no bucket of cvprod_request_seconds: nothing counts what "
            "is slower. Add it to SECONDS in cvprod/serving/metrics.py"
        )
    groups = {
        "inspection-latency": (
            f"The contract: 99 of 100 inspections answered within {limit * 1e3:g} ms. What is slow is divided by what\n"
            "was answered, also too late (504): refusals are fast, and would make an overloaded service look quick.\n"
            "The histogram leaves them out too.",
            records("slow", lambda w: slow_ratio(w, limit)),
        ),
        "inspection-availability": (
            "Availability is measured where the callers are: at the balancer, which has tried elsewhere before it\n"
            "says 5xx, and which also answers when no service is left to count anything. It counts a 429 among 4xx,\n"
            "so refusals are the services' own count: failures as long as the line keeps to "
            f"{contract.tiles_per_s.limit:g} tiles/s.\n"
            "More was never promised; that is Overload's. What came too late is a 504, and so a 5xx.",
            [
                f"- record: {REFUSED_WITHIN}\n  expr: |\n{_indent(refused_within(contract.tiles_per_s.limit), 4)}",
                *records("failed", failed_ratio),
            ],
        ),
        "inspection-latency-slo": (
            f"{SLOW:g} is what the contract's 99th percentile leaves.",
            burn_alerts(
                "Latency", "slow", SLOW, f"took longer than {limit * 1e3:g} ms",
                "Look at the stages and the queue, then at the last change of model.",
                extra="inspection:answered:rate5m > 1",
            ),
        ),
        "inspection-availability-slo": (
            f"{UNAVAILABLE:g} (99.9 % available) is our own promise.",
            burn_alerts(
                "Availability", "failed", UNAVAILABLE, "failed",
                "Look at which services the balancer sees, then at their logs.",
            ),
        ),
        "inspection-quality-slo": (
            "The contract's recall and false rejects, by audited labels.",
            quality_alerts(contract),
        ),
    }  # fmt: skip
    return {"slo.yml": _file(groups)}


def latency(limit_s: float, burns: tuple[Burn, ...]) -> str:
    """The rules of the latency promise alone, on other clocks: for a demonstration that takes seconds.

    limit_s must be a bucket of the histogram; see `files`.
    """
    windows = tuple(dict.fromkeys(w for b in burns for w in (b.short, b.long)))
    did = f"took longer than {limit_s * 1e3:g} ms"
    return _file(
        {
            "windows": ("Shares of slow inspections.", records("slow", lambda w: slow_ratio(w, limit_s), windows)),
            "alerts": ("Burn rates.", burn_alerts("Latency", "slow", SLOW, did, "Look at the stages.", burns=burns)),
        }
    )


def _file(groups: dict[str, tuple[str, list[str]]]) -> str:
    head = (
        "# Made by `python -m cvprod.monitoring rules` from deploy/contract.yaml: change that, not this.\n"
        "# A series is named inspection:what:operation_window. `page` wakes somebody, `ticket` waits.\n\n"
        "groups:\n"
    )
    body = "\n".join(
        "\n".join(f"  # {line}" for line in why.splitlines())
        + f"\n  - name: {name}\n    rules:\n"
        + "\n".join(_indent(rule, 6) for rule in rules)
        + "\n"
        for name, (why, rules) in groups.items()
    )
    return head + body


def _indent(text: str, by: int) -> str:
    return "\n".join(" " * by + line if line else line for line in text.splitlines())
