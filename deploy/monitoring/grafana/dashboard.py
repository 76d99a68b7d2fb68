"""The dashboard as code: `python deploy/monitoring/grafana/dashboard.py` writes dashboards/inspection.json.

Change this file, not the JSON: Grafana reads the JSON, a test holds the two together and runs every query on a real
Prometheus. Needs grafana-foundation-sdk.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

TARGET = Path(__file__).parent / "dashboards" / "inspection.json"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
#: The contract, in seconds and as a share: where the lines are drawn.
LIMIT, BUDGET = 0.01, 0.01
HERE = 'instance=~"$instance"'
INSPECT = f'route="/v1/inspect", {HERE}'


def quantile(share: float) -> str:
    buckets = f"sum by (le) (rate(cvprod_request_seconds_bucket{{{INSPECT}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def fill(panel, title: str, text: str, queries: dict[str, str], unit: str, width: int, height: int):
    """What every panel has: a title, why one looks at it, its queries (legend to expression) and its unit."""
    panel.title(title).description(text).datasource(SOURCE).unit(unit).span(width).height(height).min(0)
    for letter, (legend, expression) in zip("ABCDEFGH", queries.items(), strict=False):
        panel.with_target(
            prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(SOURCE)
        )
    return panel


def steps(*limits: tuple[str, float | None]):
    marks = [model.Threshold(value=value, color=colour) for colour, value in limits]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(marks)


def graph(title: str, text: str, queries: dict[str, str], unit: str, *, width=8, stacked=False, limit=None):
    """A graph over time; with a line where the limit is."""
    panel = fill(timeseries.Panel(), title, text, queries, unit, width, 8)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(common_model.LegendDisplayMode.LIST)
        .placement(common_model.LegendPlacement.BOTTOM)
        .show_legend(True)
    ).tooltip(
        common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI).sort(common_model.SortOrder.DESCENDING)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL)).fill_opacity(30)
    if limit is not None:
        panel.thresholds(steps(("transparent", None), ("red", limit))).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        )
    return panel


def number(title: str, text: str, expression: str, unit: str, *, amber: float, red: float, width=4, falling=False):
    """One number, coloured by its limits; `falling` where little is bad."""
    panel = fill(stat.Panel(), title, text, {"": expression}, unit, width, 4)
    panel.thresholds(
        steps(("red", None), ("orange", red), ("green", amber))
        if falling
        else steps(("green", None), ("orange", amber), ("red", red))
    )
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).color_mode(
        common_model.BigValueColorMode.BACKGROUND
    )


def build() -> model.Dashboard:
    """The dashboard: promises first, then load, the way of an image through the service, answers, balancer."""
    made = (
        dashboard.Dashboard("Inspection")
        .uid("inspection")
        .description("The strip inspection against its contract. Made by deploy/monitoring/grafana/dashboard.py.")
        .tags(["inspection"])
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("Service")
            .datasource(SOURCE)
            .query('label_values(up{job="inspection"}, instance)')
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
        )
    )
    rate = "$__rate_interval"
    made.with_row(dashboard.Row("Promises"))
    for panel in (
        number(
            "Slow inspections", "Share over the contract's 10 ms, last hour. The contract allows one in a hundred.",
            "inspection:slow:ratio_rate1h", "percentunit", amber=BUDGET / 2, red=BUDGET,
        ),
        number(
            "Latency budget burns", "Times faster than a month's budget allows, last hour. A page at 14.4.",
            f"inspection:slow:ratio_rate1h / {BUDGET}", "none", amber=1, red=14.4,
        ),
        number(
            "Failed", "5xx that reached a caller, last hour, as the balancer counts.",
            "inspection:failed:ratio_rate1h", "percentunit", amber=0.0005, red=0.001,
        ),
        number(
            "Refused", "For lack of time, last 5 minutes: tiles that nobody looked at.",
            "inspection:refused:ratio_rate5m", "percentunit", amber=0.001, red=0.01,
        ),
        number(
            "Services up", "That Prometheus reaches.",
            f'sum(up{{job="inspection", {HERE}}})', "none", amber=3, red=2, falling=True,
        ),
        number(
            "Models serving", "Names, versions and hashes at once. More than one: a rollout, or one that got stuck.",
            "count(count by (name, version, sha256) (cvprod_model_info > 0))", "none", amber=2, red=3,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Load and latency"))
    for panel in (
        graph(
            "Requests by code", "Of all routes but health and metrics. 429 is a refusal, 5xx a failure.",
            {"{{code}}": "sum by (code) (rate(cvprod_requests_total"
             f'{{route!~"/metrics|/healthz|/readyz|/v2/health/.*", {HERE}}}[{rate}]))'},
            "reqps", stacked=True,
        ),
        graph(
            "Latency of an inspection", "Interpolated within the histogram's buckets. The dashed line is the contract.",
            {"p50": quantile(0.5), "p95": quantile(0.95), "p99": quantile(0.99)}, "s", limit=LIMIT,
        ),
        graph(
            "Slow share", "What the alerts compare, in a short and a long window.",
            {"5 min": "inspection:slow:ratio_rate5m", "1 h": "inspection:slow:ratio_rate1h",
             "6 h": "inspection:slow:ratio_rate6h"}, "percentunit", limit=BUDGET,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Inside the service"))
    for panel in (
        graph(
            "Time in a stage", "Mean of a batch: waiting, decoding and preparing, the network.",
            {"{{stage}}": f"sum by (stage) (rate(cvprod_stage_seconds_sum{{{HERE}}}[{rate}])) / "
             f"sum by (stage) (rate(cvprod_stage_seconds_count{{{HERE}}}[{rate}]))"}, "s", stacked=True,
        ),
        graph(
            "Images in a batch", "Grows with the load: what has arrived is run together.",
            {"mean": f"sum(rate(cvprod_batch_images_sum{{{HERE}}}[{rate}])) / "
             f"sum(rate(cvprod_batch_images_count{{{HERE}}}[{rate}]))",
             "p95": f"histogram_quantile(0.95, sum by (le) (rate(cvprod_batch_images_bucket{{{HERE}}}[{rate}])))"},
            "none",
        ),
        graph(
            "Queue", "Images waiting at the moment of the scrape.",
            {"{{instance}}": f"sum by (instance) (cvprod_queue_images{{{HERE}}})"}, "none", stacked=True,
        ),
        graph(
            "Refusals and bad requests", "By the slug of the problem that the caller was told.",
            {"{{reason}}": f"sum by (reason) (rate(cvprod_rejected_total{{{HERE}}}[{rate}]))"}, "reqps", stacked=True,
        ),
        graph(
            "Connections", "Open in each service, streams included.",
            {"{{instance}}": f"sum by (instance) (cvprod_connections{{{HERE}}})"}, "none", stacked=True,
        ),
        graph(
            "Workers by model", "How many workers run which version.",
            {"{{name}} {{version}} ({{sha256}})": "sum by (name, version, sha256) "
             f"(cvprod_model_info{{{HERE}}})"}, "none", stacked=True,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Answers"))
    for panel in (
        graph(
            "Predictions", "Images a second by label. A mix that moves is the first sign of drift.",
            {"{{label}}": f"sum by (label) (rate(cvprod_predictions_total{{{HERE}}}[{rate}]))"},
            "none", width=12, stacked=True,
        ),
        graph(
            "Share for review", "Answers so unsure that a human is asked, by version of the model.",
            {"{{model_version}}": f"sum by (model_version) (rate(cvprod_review_total{{{HERE}}}[{rate}])) / "
             f"sum by (model_version) (rate(cvprod_predictions_total{{{HERE}}}[{rate}]))"}, "percentunit", width=12,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Balancer"))
    for panel in (
        graph(
            "Answers to callers", "By class of code, after retries.",
            {"{{code}}": "sum by (code) (rate(haproxy_frontend_http_responses_total"
             f'{{proxy="inspection"}}[{rate}]))'}, "reqps", stacked=True,
        ),
        graph(
            "Second tries", "Requests that one service lost and another answered.",
            {"retries": f'sum(rate(haproxy_backend_retry_warnings_total{{proxy="services"}}[{rate}]))',
             "redispatches": f'sum(rate(haproxy_backend_redispatch_warnings_total{{proxy="services"}}[{rate}]))'},
            "reqps",
        ),
        graph(
            "Services that the balancer uses", "One each: up and not draining.",
            {"{{server}}": 'haproxy_server_status{proxy="services", state="UP"}'}, "none", stacked=True,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    return made.build()


def text() -> str:
    return json.dumps(json.loads(JSONEncoder().encode(build())), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"Wrote {TARGET}")
