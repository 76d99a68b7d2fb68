"""The service, in this process and as a real one."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import httpx
import pytest

from cvprod.serving.api.app import App
from cvprod.serving.engine import Engine
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL, Settings
from cvprod.stack.service import worker_pids


def wait_for(condition, seconds=15.0):
    """Poll until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def ask(app, *requests):
    """Send requests, (method, path, options) each, to an application in this process; their answers."""

    async def work():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            found = [await client.request(method, path, **options) for method, path, options in requests]
        await asyncio.sleep(0.01)  # watchers come after the answer
        return found

    return asyncio.run(work())


def metrics(service):
    """Name with labels to value."""
    with urllib.request.urlopen(service.address + "/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@pytest.fixture(scope="session")
def model():
    return Model.load(DEFAULT_MODEL)


@pytest.fixture
def make_app(model, tmp_path):
    """Make an application in this process; options are those of Settings."""

    def make(**options):
        settings = Settings(
            workers=1, state=tmp_path / "state", latency_budget_ms=options.pop("latency_budget_ms", 1000), **options
        )
        engine = Engine(
            model, budget=settings.latency_budget_ms / 1e3, max_batch=settings.max_batch,
            max_queue=settings.max_queue, max_pixels=settings.max_pixels,
        )  # fmt: skip
        return App(engine, settings)

    return make


class Service:
    """`python -m cvprod.serving` on a free port."""

    def __init__(self, *options, cwd):
        self.log = cwd / f"service-{time.monotonic_ns()}.log"
        self._out = self.log.open("wb")
        command = [sys.executable, "-m", "cvprod.serving", "--port", "0", "--no-pin", *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._out, cwd=cwd, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not found:
            self.stop()
            raise AssertionError(self.log.read_text())
        self.port = int(found.group(1))
        self.address = f"http://127.0.0.1:{self.port}"

    def post(self, body, path="/v1/inspect", kind="image/jpeg", **headers):
        request = urllib.request.Request(
            self.address + path, body, {"Content-Type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=20) as answer:
            return answer.read().decode()

    def workers(self):
        """Process ids of the workers."""
        return worker_pids(self)

    def stop(self, number=signal.SIGTERM):
        """Exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)
            raise
        finally:
            self.process.stdout.close()
            self._out.close()


@pytest.fixture
def start(tmp_path):
    """Start a service; it is stopped at the end."""
    running = []

    def go(*options):
        running.append(Service(*options, cwd=tmp_path))
        return running[-1]

    yield go
    for service in running:
        service.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for the tests of a module that do it no harm: two workers, gRPC, no limits that tests would meet."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Service(
        "--workers", 2, "--grpc-port", port, "--latency-budget-ms", 2000, cwd=tmp_path_factory.mktemp("service")
    )
    running.grpc_port = port
    yield running
    assert running.stop() == 0
