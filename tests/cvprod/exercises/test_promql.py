"""The exercises' small PromQL gives what Prometheus gives, and says what it does not know."""

import json
import math
import re
import shutil
import subprocess

import pytest

from cvprod.exercises import oncall
from cvprod.exercises.promql import Data, QueryError, query

#: Asked of a service in trouble; each is evaluated by promtool, too.
QUERIES = [
    'sum(rate(cvprod_requests_total{code=~"5.."}[10m])) / sum(rate(cvprod_requests_total[10m]))',
    "sum by (instance) (increase(cvprod_requests_total[1h]))",
    "sum without (code, job) (rate(cvprod_requests_total[5m])) > 1",
    "histogram_quantile(0.99, sum by (le) (rate(cvprod_request_seconds_bucket[5m])))",
    "histogram_quantile(0.5, sum by (instance, le) (rate(cvprod_request_seconds_bucket[30m])))",
    'up{job="inspection"} == 0 or cvprod_memory_bytes > 4e8',
    "count(up) - 1 ^ 2 * -3 + 7 % 4",
    "-cvprod_memory_bytes / 1e6",
    "max_over_time(cvprod_memory_bytes[1h]) - min_over_time(cvprod_memory_bytes[1h] offset 30m)",
    "resets(cvprod_batch_images_sum[2h])",
    "changes(up[2h])",
    "avg(avg_over_time(cvprod_queue_images[5m]))",
    "sum(increase(cvprod_batch_images_sum[3h]))",
    "topk(1, sum by (instance) (rate(cvprod_requests_total[10m])))",
    "(sum(rate(cvprod_rejected_total[10m])) or vector(0)) / sum(rate(cvprod_requests_total[10m]))",
    "absent(cvprod_nothing) + 1",
    "cvprod_drift_score > on (instance, job, detector) cvprod_drift_limit",
    "count by (version) (last_over_time(cvprod_model_info[2h]))",
    "cvprod_model_info unless on (instance) up",
    "cvprod_model_info and on (instance) (up == 1)",
    "scalar(sum(up)) + time() * 0",
    "sum(up) > bool 2",
    "clamp_min(delta(cvprod_memory_bytes[10m]), 0)",
    "rate(cvprod_stage_seconds_sum[15m]) / rate(cvprod_stage_seconds_count[15m])",
    "sum by (version) (rate(cvprod_requests_total[15m]) * on (instance) group_left (version) cvprod_model_info)",
    "up * on (instance) group_right (job) sum by (instance, code) (rate(cvprod_requests_total[5m]))",
    "cvprod_requests_total > on (instance) group_left () (cvprod_queue_images * 1e5)",
    "deriv(cvprod_memory_bytes[30m])",
    "predict_linear(cvprod_memory_bytes[30m], 3600)",
    "irate(cvprod_requests_total[10m])",
    "quantile(0.9, cvprod_request_seconds_bucket) + quantile(0.2, cvprod_memory_bytes)",
    "quantile_over_time(0.75, cvprod_memory_bytes[1h]) - stddev_over_time(cvprod_memory_bytes[1h])",
    "ceil(cvprod_drift_score * 10) + floor(cvprod_drift_score) + 0 * present_over_time(cvprod_drift_score[5m])",
    "stddev(cvprod_memory_bytes) + avg(cvprod_memory_bytes) + min(cvprod_memory_bytes)",
]


def plain(found):
    if not isinstance(found, list):
        return {(): found}
    return {tuple(sorted((k, v) for k, v in labels if k != "__name__")): x for labels, x in found}


def by_promtool(data, folder):
    """What promtool says to QUERIES at oncall.NOW, by the query."""
    series, start = [], 7.0  # promtool's samples begin at zero
    for name, rows in data.metrics.items():
        for labels, (times, values) in rows.items():
            known = dict(zip(times, values, strict=True))
            text = " ".join(repr(known[t]) if t in known else "_" for t in oncall._TIMES.tolist())
            inner = ",".join(f'{k}="{v}"' for k, v in labels)
            series.append({"series": f"{name}{{{inner}}}", "values": text})
    at = f"{int((oncall.NOW - start) * 1000)}ms"
    wrong = [{"expr": q, "eval_time": at, "exp_samples": [{"labels": '{no="such"}', "value": -1}]} for q in QUERIES]
    test = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": wrong}]}
    (folder / "test.yml").write_text(json.dumps(test))  # YAML holds JSON
    done = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True)
    answers = {}
    for expr, got in re.findall(r'expr: (".*"), time: .*,\s*exp:.*\s*got:\s*(.*)', done.stdout + done.stderr):
        found = {}
        for labels, value in re.findall(r"(?:[a-zA-Z_:][\w:]*)?(\{.*?\}) ([-+\w.]+)(?:, |$)", got):
            found[tuple(sorted(re.findall(r'\b(?!__name__)(\w+)="(.*?)"', labels)))] = float(value)
        answers[json.loads(expr)] = found
    assert len(answers) == len(QUERIES), done.stdout[-2000:] + done.stderr[-2000:]
    return answers


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (apt: prometheus)")
@pytest.mark.parametrize("kind", ["raise memory", "roll back", "add replicas"])
def test_every_query_gives_what_prometheus_gives(kind, tmp_path):
    data = oncall.incident(kind, 7).data
    for expression, theirs in by_promtool(data, tmp_path).items():
        ours = plain(query(expression, data, oncall.NOW))
        assert set(ours) == set(theirs), expression
        for labels, value in theirs.items():
            assert math.isclose(ours[labels], value, rel_tol=1e-9, abs_tol=1e-12), (expression, labels)


CODE_200, CODE_500 = (("code", "200"),), (("code", "500"),)


@pytest.fixture
def log():
    data = Data()
    for k in range(6):
        fields = {"event": "request", "code": 500 if k == 2 else 200, "ms": 4.0 * k, "key": "ab"[k % 2]}
        data.logs.append((100.0 * k, {"app": "inspection"}, fields))
    return data


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ('sum(count_over_time({app="inspection"}[10m]))', {(): 6}),
        ('sum(count_over_time({app="other"} | json [10m]))', {}),
        ('sum by (code) (count_over_time({app="inspection"} | json | ms > 5 [10m]))', {CODE_200: 3, CODE_500: 1}),
        ('sum(count_over_time({app="inspection"} | json | code=~"5.." [10m]))', {(): 1}),
        ('sum(count_over_time({app="inspection"} |= "500" [10m]))', {(): 1}),
        ('sum(rate({app="inspection"} | json | key!="a" [100s]))', {(): 0.01}),
        ('sum(count_over_time({app="inspection"} | json [200s]))', {(): 2}),
    ],
)  # fmt: skip
def test_lines_of_a_log_are_counted(log, expression, want):
    assert plain(query(expression, log, 500.0)) == want


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "a query is a text"),
        ("sum(up", "expected ','"),
        ("up[5m]", "is a range"),
        ("rate(up)", "rate takes a range"),
        ("foo(up)", "foo is not known"),
        ("up + up{", "found 'the end'|is matched as"),
        ("1 > 2", "bool"),
        ("up * on (job) up", "aggregate"),
        ("up and 1", "vector"),
        ('{job="x"}', "needs its name"),
        ("rate(up[5])", "no duration"),
        ('up{job=~"("}', "regular expression"),
        ('count_over_time({app="x"} | ms > 3 [5m])', "json"),
        ("up $ 1", "unexpected"),
        ("up * on (job) group_left () up", "of the one side"),
        ("deriv(up)", "range of a gauge"),
        ("quantile(up, 2)", "a number first|instant vector"),
        ("up up", "an operator or the end"),
    ],
)
def test_what_cannot_be_evaluated_is_named(expression, says):
    data = Data()
    for k in range(2):
        data.add("up", {"job": "x", "instance": str(k)}, [0.0], [1.0])
    with pytest.raises(QueryError, match=says):
        query(expression, data, 10.0)


def test_subquery_asks_again_and_again():
    data = Data()
    data.add("x", {}, [60.0 * k for k in range(11)], [float(k * k) for k in range(11)])
    assert plain(query("max_over_time(x[3m:1m])", data, 600.0)) == {(): 100.0}
    assert plain(query("count_over_time(x[3m:1m])", data, 600.0)) == {(): 3.0}
    assert plain(query("min_over_time(rate(x[2m])[4m:])", data, 600.0)) == plain(query("rate(x[2m])", data, 420.0))
    assert plain(query("max_over_time((x > 50)[10m:1m] offset 1m)", data, 600.0)) == {(): 81.0}


def test_series_without_a_sample_for_five_minutes_is_gone():
    data = Data()
    data.add("up", {}, [0.0, 60.0], [1.0, 1.0])
    assert plain(query("up", data, 359.0)) == {(): 1.0}
    assert plain(query("up", data, 360.0)) == {} and plain(query("absent(up)", data, 360.0)) == {(): 1.0}
