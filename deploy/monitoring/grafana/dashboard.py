"""Dashboards as code: `python deploy/monitoring/grafana/dashboard.py` writes dashboards/*.json.

Four of them, by who asks: inspection (is the service well?), quality (are the answers right?), drift (is it still the
line that the model knows?), cost (what does it use?). Change this file, not the JSON: Grafana reads the JSON, a test
holds the two together and runs every query on a real Prometheus. Needs grafana-foundation-sdk.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

from cvprod.contract import load_contract
from cvprod.monitoring import rules

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
CONTRACT = load_contract()
#: The contract, in seconds, shares, bytes and euros: where the lines are drawn.
LIMIT, BUDGET = CONTRACT.p99_latency_ms.limit / 1e3, rules.SLOW
RECALL, REJECTS = CONTRACT.defect_recall.limit, CONTRACT.false_reject_rate.limit
MEMORY, EUROS = CONTRACT.memory_mb.limit * 1e6, CONTRACT.cost_per_million_tiles_eur.limit
#: What an hour of production may cost.
PRICE = CONTRACT.line.compute_budget_eur_per_year / CONTRACT.line.hours_per_year
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


def board(title: str, text: str, variable: str, job: str) -> dashboard.Dashboard:
    """An empty dashboard, with a choice of instances of a job."""
    return (
        dashboard.Dashboard(title)
        .uid(title.lower())
        .description(f"{text} Made by deploy/monitoring/grafana/dashboard.py.")
        .tags(["inspection"])
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.QueryVariable("instance")
            .label(variable)
            .datasource(SOURCE)
            .query(f'label_values(up{{job="{job}"}}, instance)')
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
        )
    )


def inspection() -> model.Dashboard:
    """Is the service well? Promises first, then load, the way of an image through it, answers, balancer, resources."""
    made = board("Inspection", "The strip inspection against its contract.", "Service", "inspection")
    rate = "$__rate_interval"
    made.with_row(dashboard.Row("Promises"))
    for panel in (
        number(
            "Slow inspections",
            f"Share over the contract's {LIMIT * 1e3:g} ms, last hour. The contract allows one in a hundred.",
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
            "none", width=8, stacked=True,
        ),
        graph(
            "Share for review", "Answers so unsure that a human is asked, by version of the model.",
            {"{{model_version}}": f"sum by (model_version) (rate(cvprod_review_total{{{HERE}}}[{rate}])) / "
             f"sum by (model_version) (rate(cvprod_predictions_total{{{HERE}}}[{rate}]))"}, "percentunit", width=8,
        ),
        graph(
            "Records and watchers", "Pictures of which a record was written or lost; errors in what watches.",
            {"{{outcome}}": f"sum by (outcome) (rate(cvprod_records_total{{{HERE}}}[{rate}]))",
             "errors": f"sum(rate(cvprod_watcher_faults_total{{{HERE}}}[{rate}])) or vector(0)"}, "none", width=8,
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
            {"retries": f'sum(rate(haproxy_backend_retry_warnings_total{{proxy="tries"}}[{rate}]))',
             "redispatches": f'sum(rate(haproxy_backend_redispatch_warnings_total{{proxy="tries"}}[{rate}]))'},
            "reqps",
        ),
        graph(
            "Services that the balancer uses", "One each: up and not draining.",
            {"{{server}}": 'haproxy_server_status{proxy="services", state="UP"}'}, "none", stacked=True,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Resources"))
    for panel in (
        graph(
            "Memory", "Of all processes of a service, shared pages once. The dashed line is the contract.",
            {"{{instance}}": f"sum by (instance) (cvprod_memory_bytes{{{HERE}}})"}, "decbytes", limit=MEMORY,
        ),
        graph(
            "Processor", "Cores in use. A worker can use one.",
            {"{{instance}}": f"sum by (instance) (rate(cvprod_cpu_seconds_total{{{HERE}}}[{rate}]))"}, "none",
            stacked=True,
        ),
        graph(
            "Throttled", "Share of time that a CPU quota kept the service from running: slow without being busy.",
            {"{{instance}}": f"sum by (instance) (rate(cvprod_throttled_seconds_total{{{HERE}}}[{rate}]))"},
            "percentunit", limit=0.01,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    return made.build()


def quality() -> model.Dashboard:
    """Are the answers right? By audited labels, and by what can be said without."""
    made = board("Quality", "Answers against the truth, where it is known.", "Monitor", "monitor")
    rate = "$__rate_interval"
    made.with_row(dashboard.Row("By audited labels"))
    for panel in (
        graph(
            "Defect recall", "Of tiles with a defect, the share called one: estimate and 95 % interval. The dashed "
            "line is the contract.",
            {"{{bound}}": f'cvprod_quality{{metric="defect_recall", {HERE}}}'}, "percentunit", limit=RECALL,
        ),
        graph(
            "False rejects", "Of clean tiles, the share called a defect. The dashed line is the contract.",
            {"{{bound}}": f'cvprod_quality{{metric="false_reject_rate", {HERE}}}'}, "percentunit", limit=REJECTS,
        ),
        graph(
            "Labels", "Audited tiles in an hour. Without labels the graphs beside stand still, whatever happens.",
            {"labels": f"sum(rate(cvprod_quality_labels_total{{{HERE}}}[{rate}])) * 3600",
             "changes of the error": f"sum(increase(cvprod_quality_changes_total{{{HERE}}}[1h]))"}, "none",
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Without labels"))
    for panel in (
        graph(
            "Accuracy, expected and audited", "Mean confidence beside the audited accuracy. Where they part, the "
            "probabilities are no longer calibrated.",
            {"expected": f"cvprod_quality_expected_accuracy{{{HERE}}}",
             "audited": f'cvprod_quality{{metric="accuracy", bound="estimate", {HERE}}}'}, "percentunit", width=12,
        ),
        graph(
            "Share for review, all services", "Answers so unsure that a human is asked.",
            {"{{model_version}}": f"sum by (model_version) (rate(cvprod_review_total[{rate}])) / "
             f"sum by (model_version) (rate(cvprod_predictions_total[{rate}]))"}, "percentunit", width=12,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    return made.build()


def drift() -> model.Dashboard:
    """Is it still the line that the model knows? Every score over its limit, then what has moved."""
    made = board("Drift", "Windows of served tiles against the reference.", "Monitor", "monitor")
    rate = "$__rate_interval"
    made.with_row(dashboard.Row("Detectors"))
    for panel in (
        graph(
            "Score over limit", "Above the dashed line a detector speaks. All limits come from one null distribution.",
            {"{{detector}}": f"cvprod_drift_score{{{HERE}}} / on (instance, job, detector) cvprod_drift_limit"},
            "none", width=12, limit=1,
        ),
        graph(
            "Descriptors", "How far each has moved (KS statistic, 0 to 1): which one says where to look.",
            {"{{descriptor}}": f"cvprod_drift_descriptor_ks{{{HERE}}}"}, "none", width=12,
        ),
        graph(
            "Alarms", "Windows in an hour in which a detector spoke.",
            {"{{detector}}": f"sum by (detector) (rate(cvprod_drift_alarms_total{{{HERE}}}[{rate}])) * 3600"}, "none",
            stacked=True,
        ),
        graph(
            "Windows", "Judged in an hour. None means that nobody watches.",
            {"windows": f"sum(rate(cvprod_drift_windows_total{{{HERE}}}[{rate}])) * 3600"}, "none",
        ),
        number(
            "Since the last window", "Alerts come after three hours.",
            f"time() - max(cvprod_drift_window_timestamp_seconds{{{HERE}}})", "s", amber=3600, red=3 * 3600, width=8,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    return made.build()


def cost() -> model.Dashboard:
    """What does it use? Euros by the contract's own budget, and where they go."""
    made = board("Cost", "What the inspection uses for a million tiles.", "Service", "inspection").with_variable(
        dashboard.TextBoxVariable("price").label("EUR an hour, all services").default_value(f"{PRICE:.3f}")
    )
    rate = "$__rate_interval"
    images = f"sum(rate(cvprod_batch_images_sum{{{HERE}}}[{rate}]))"
    made.with_row(dashboard.Row("For a million tiles"))
    for panel in (
        graph(
            "Euros", "Price of an hour over the tiles of an hour. The dashed line is the contract: it is kept by a "
            "line that runs, and broken by one that stands.",
            {"EUR": f"$price / 3600 / ({images}) * 1e6"}, "currencyEUR", limit=EUROS,
        ),
        graph(
            "Processor hours", "Does not depend on the load; a new model that needs more shows here first.",
            {"hours": f"sum(rate(cvprod_cpu_seconds_total{{{HERE}}}[{rate}])) / ({images}) * 1e6 / 3600"}, "none",
        ),
        graph(
            "Tiles for a human", "Reviews: at some seconds each, they cost more than the machine.",
            {"reviews": f"sum(rate(cvprod_review_total{{{HERE}}}[{rate}])) / ({images}) * 1e6"}, "none",
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    made.with_row(dashboard.Row("Paid for and not used"))
    for panel in (
        graph(
            "Workers busy", "Processor time over workers: what is left is headroom, or waste.",
            {"busy": f"sum(rate(cvprod_cpu_seconds_total{{{HERE}}}[{rate}])) / sum(cvprod_model_info{{{HERE}}})"},
            "percentunit", width=12, limit=1,
        ),
        graph(
            "Refused", "Tiles that were paid for and not looked at.",
            {"share": "inspection:refused:ratio_rate5m"}, "percentunit", width=12,
        ),
    ):  # fmt: skip
        made.with_panel(panel)
    return made.build()


def texts() -> dict[str, str]:
    """Name -> text of every file."""
    return {
        f"{one.uid}.json": json.dumps(
            json.loads(JSONEncoder().encode(one)), indent=1, sort_keys=True, ensure_ascii=False
        )
        + "\n"
        for one in (inspection(), quality(), drift(), cost())
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"Wrote {FOLDER / name}")
