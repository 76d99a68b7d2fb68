"""Start the real inspection service for a while: what notebooks use to talk to it."""

from __future__ import annotations

import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from cvprod.stack.program import Program, free_port

_ADDRESS = re.compile(r"http://[\d.]+:(\d+)")


@dataclass(frozen=True)
class Answer:
    """One answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes


class Service(Program):
    """`python -m cvprod.serving` on free ports, as a context manager; it is drained and stopped at the end.

    Args:
        options: words of its command line, such as "--workers", 2.
        grpc: also listen for gRPC, on `grpc_port`.
        env: variables beside those of this process.

    Raises RuntimeError with the end of its log where it does not start.
    """

    def __init__(self, *options: object, grpc: bool = False, env: Mapping[str, str] | None = None) -> None:
        self.grpc_port = free_port() if grpc else 0
        folder = tempfile.TemporaryDirectory(prefix="cvprod-service-")
        # Its first line of output says where it listens; it has tested its model by then.
        said = Path(folder.name) / "service.out"
        with said.open("wb") as out:
            words = ["--port", 0, "--no-pin", "--grpc-port", self.grpc_port, *options]
            super().__init__(
                "service", [sys.executable, "-m", "cvprod.serving", *words],
                lambda: _ADDRESS.search(said.read_text()),
                env={"PYTHONUNBUFFERED": "1", **(env or {})}, patience=120, grace=30, folder=folder, stdout=out,
            )  # fmt: skip
        self.port = int(_ADDRESS.search(said.read_text())[1])
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


def has_spare(service: Service) -> bool:
    """Whether a service of one worker has another one ready, that takes over when the first is killed."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    return any(child.name() == "spare" for child in children)


def worker_pids(service: Service) -> list[int]:
    """Process numbers of a service's workers, those that may be killed; not of the spare that takes over.

    Raises psutil.NoSuchProcess where the service itself has ended.
    """
    supervisor = psutil.Process(service.process.pid)
    while True:
        try:
            workers = [worker for nursery in supervisor.children() for worker in nursery.children()]
            return [worker.pid for worker in workers if not worker.name().startswith("spare")]
        except psutil.NoSuchProcess:
            if not supervisor.is_running():
                raise
            # Else one of its children has died between the two questions: ask again.
