"""Start the real inspection service for a while: what notebooks use to talk to it."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Answer:
    """One answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes


class Service:
    """`python -m cvprod.serving` on free ports, as a context manager; it is stopped at the end, whatever happens.

    Args:
        options: words of its command line, such as "--workers", 2.
        grpc: also listen for gRPC, on `grpc_port`.

    Raises RuntimeError with the end of its log where it does not start.
    """

    def __init__(self, *options: object, grpc: bool = False) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="cvprod-service-")
        self.log = Path(self.folder.name) / "service.log"
        self.grpc_port = free_port() if grpc else 0
        words = ["--port", "0", "--no-pin", "--grpc-port", self.grpc_port, *options]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cvprod.serving", *map(str, words)],
                stdout=subprocess.PIPE, stderr=out, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        atexit.register(self.stop)  # a notebook that fails half-way leaves nothing running
        found = re.search(r"http://([\d.]+):(\d+)", self.process.stdout.readline())
        if found is None:
            text = self.log.read_text(errors="replace")
            self.stop()
            raise RuntimeError(f"the service did not start: {text.strip()[-500:]}")
        self.port = int(found.group(2))
        self.address = f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: bytes | None = None, kind: str = "image/jpeg", **headers: str) -> Answer:
        """GET, or POST where there is a body; underscores in names of headers become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named["Content-Type"] = kind
        request = urllib.request.Request(self.address + path, body, named)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def stop(self) -> int:
        """Drain and end; returns the exit status. A second call does nothing more."""
        atexit.unregister(self.stop)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()
            self.folder.cleanup()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """A TCP port of the loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def worker_pids(service: Service) -> list[int]:
    """Process numbers of a service's workers, those that may be killed.

    Raises psutil.NoSuchProcess where the service itself has ended.
    """
    supervisor = psutil.Process(service.process.pid)
    while True:
        try:
            return [worker.pid for nursery in supervisor.children() for worker in nursery.children()]
        except psutil.NoSuchProcess:
            if not supervisor.is_running():
                raise
            # Else one of its children has died between the two questions: ask again.
