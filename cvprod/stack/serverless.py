"""Functions, really started: AWS's own runtime client behind a small Runtime API, and Google's functions-framework.

Both come from PyPI and live in an environment of their own (peers/serverless.txt). The Runtime API is what Lambda's
host offers to a runtime: it hands out the next event and takes the answer
(docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, version 2018-06-01). One API and one queue for each start: the
request for the next event that a dead runtime left open would swallow the event of the one after it.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cvprod.repo import deploy_file
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import peers
from cvprod.stack.program import Program, free_port

_RUNTIME = "/2018-06-01/runtime"
#: The handler as tutorials write it, and the one that is deployed.
HANDLERS = ("usual", "lean")


class FunctionError(RuntimeError):
    """The function failed; the message is what its runtime said."""


def package(provider: str, folder: str | Path, card: Path = DEFAULT_MODEL) -> Path:
    """The folder that would be uploaded for "aws", "gcp" or "azure", without the installed packages."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("serverless_build", deploy_file("serverless/build.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(provider, card, folder)


@dataclass(frozen=True)
class Call:
    """One invocation: the answer, and the seconds between handing out the event and getting the answer."""

    answer: object
    seconds: float


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A runtime that is stopped breaks its open request; that is how it ends, and no error."""


class RuntimeApi:
    """Enough of Lambda's Runtime API for one runtime, on a free port of the loopback. A context manager."""

    def __init__(self) -> None:
        self._events: queue.Queue = queue.Queue()
        self._answers: queue.Queue = queue.Queue()
        self._handed: dict[str, float] = {}
        self.asked: float | None = None  # when the runtime first asked for work: INIT is over
        self.failed: str | None = None
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _handler(api) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path != f"{_RUNTIME}/invocation/next":
                    return self._say(404, b"{}")
                if api.asked is None:
                    api.asked = time.perf_counter()
                event = api._events.get()
                if event is None:  # the end: whoever asks for work gets none
                    self.close_connection = True
                    return None
                number = str(uuid.uuid4())
                api._handed[number] = time.perf_counter()
                deadline = str(int((time.time() + 30) * 1000))
                return self._say(200, event, {
                    "Lambda-Runtime-Aws-Request-Id": number, "Lambda-Runtime-Deadline-Ms": deadline,
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:tiles",
                })  # fmt: skip

            def do_POST(self) -> None:
                now, body = time.perf_counter(), self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._say(202, b"{}")
                *_, number, outcome = self.path.split("/")
                if self.path == f"{_RUNTIME}/init/error":
                    api.failed = body.decode(errors="replace")
                    api._answers.put((False, body, 0.0))
                elif number in api._handed:
                    api._answers.put((outcome == "response", body, now - api._handed.pop(number)))

            def _say(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                # One write for head and body: with two, the runtime's delayed acknowledgement adds 40 ms to each call.
                self._headers_buffer.append(b"\r\n" + body)
                self.flush_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def send(self, event: object) -> None:
        """Queue an event."""
        self._events.put(json.dumps(event).encode())

    def receive(self, patience: float = 60.0) -> Call:
        """The next answer. Raises FunctionError where the function failed, TimeoutError where none came."""
        try:
            good, body, seconds = self._answers.get(timeout=patience)
        except queue.Empty:
            raise TimeoutError(f"the function gave no answer within {patience:g} s") from None
        if not good:
            raise FunctionError(body.decode(errors="replace"))
        return Call(json.loads(body), seconds)

    def close(self) -> None:
        """Let go of a runtime that waits for work, and of the port."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()


class Lambda(Program):
    """A Lambda function's process, from nothing to its first answer, then warm. A context manager.

    Args:
        handler: "lean" (deploy/serverless/aws) or "usual" (peers/lambda_usual.py).
        event: the first event; the cold start ends with its answer.
        cache: folder with compiled modules; None: nothing is compiled beforehand and nothing is kept, as in an archive
            of sources that is unpacked where nobody may write.
        memory_mb: what the function is told that it has; the machine's cores are not cut down to it.

    Attributes:
        init_s: from the start of the process until it asks for work. cold_s: until the first answer has come.
        first: the first answer.

    Raises RuntimeError where it does not start.
    """

    def __init__(
        self, handler: str, event: object, *, cache: Path | None = None, card: Path = DEFAULT_MODEL,
        memory_mb: int = 1769,
    ) -> None:  # fmt: skip
        if handler not in HANDLERS:
            raise ValueError(f"no handler {handler!r}; there are {', '.join(HANDLERS)}.")
        folder = tempfile.TemporaryDirectory(prefix="cvprod-lambda-")
        place = package("aws", Path(folder.name) / "task", card)
        (place / "usual.py").write_bytes((peers.HERE / "lambda_usual.py").read_bytes())
        python = peers.environment("serverless")
        self.api = RuntimeApi()
        self.api.send(event)
        env = {
            "AWS_LAMBDA_RUNTIME_API": self.api.address, "AWS_LAMBDA_FUNCTION_NAME": "tiles",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb), "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "LAMBDA_TASK_ROOT": str(place), "CARD": str(place / "model.json"), "PYTHONPATH": str(place),
            **_bytecode(cache, Path(folder.name)),
        }  # fmt: skip
        self._first: Call | None = None
        begun = time.perf_counter()

        def answered() -> bool:
            try:
                self._first = self.api.receive(0.2)
            except TimeoutError:
                return False
            self.cold_s = time.perf_counter() - begun
            return True

        try:
            module = {"lean": "handler", "usual": "usual"}[handler]
            words = [python, "-m", "awslambdaric", f"{module}.handler"]
            super().__init__("lambda", words, answered, env=env, patience=120, folder=folder, cwd=place)
        except FunctionError:
            self.api.close()
            self.stop()
            raise
        except BaseException:
            self.api.close()
            raise
        self.init_s = self.api.asked - begun
        self.first = self._first.answer

    def __call__(self, event: object) -> Call:
        """Invoke it, warm. Raises FunctionError."""
        self.api.send(event)
        return self.api.receive()

    def stop(self) -> int:
        """End the runtime and its API."""
        self.api.close()
        return super().stop()


class Framework(Program):
    """Google's functions-framework with deploy/serverless/gcp, from nothing to its first answer. A context manager.

    Attributes: address; cold_s: until the first answer had come. Raises RuntimeError where it does not start.
    """

    def __init__(self, jpeg: bytes, *, cache: Path | None = None, card: Path = DEFAULT_MODEL) -> None:
        folder = tempfile.TemporaryDirectory(prefix="cvprod-framework-")
        place = package("gcp", Path(folder.name) / "task", card)
        python, port = peers.environment("serverless"), free_port()
        self.address = f"http://127.0.0.1:{port}/"
        words = [
            python, "-m", "functions_framework", "--source", place / "main.py", "--target", "inspect",
            "--host", "127.0.0.1", "--port", port,
        ]  # fmt: skip
        env = {"CARD": str(place / "model.json"), "PYTHONPATH": str(place), **_bytecode(cache, Path(folder.name))}
        begun = time.perf_counter()

        def answered() -> bool:
            status, _ = self(jpeg)  # raises OSError until it listens
            self.cold_s = time.perf_counter() - begun
            return status == 200

        super().__init__("functions-framework", words, answered, env=env, patience=120, folder=folder, cwd=place)

    def __call__(self, jpeg: bytes) -> tuple[int, dict]:
        """Status and answer to one picture."""
        request = urllib.request.Request(self.address, jpeg, {"Content-Type": "image/jpeg"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:  # an OSError too: it must not pass for "not yet"
            with error:
                return error.code, json.load(error)


def _bytecode(cache: Path | None, folder: Path) -> dict[str, str]:
    """Variables that say where compiled modules are; with no cache, an empty folder that stays so."""
    if cache is None:
        (empty := folder / "nothing").mkdir()
        return {"PYTHONPYCACHEPREFIX": str(empty), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"PYTHONPYCACHEPREFIX": str(cache), "PYTHONDONTWRITEBYTECODE": ""}


def cold_starts(event: object, times: int = 3) -> dict[str, list[float]]:
    """Seconds from nothing to the first answer: the usual handler, the lean one, and the lean one compiled beforehand.

    Started in turns, so that a slow minute is everybody's. The compiled start is preceded by one that fills the cache.
    """
    found: dict[str, list[float]] = {"usual": [], "lean": [], "lean, compiled": []}
    with tempfile.TemporaryDirectory(prefix="cvprod-pyc-") as cache:
        with Lambda("lean", event, cache=Path(cache)):
            pass
        for _ in range(times):
            for name in found:
                kept = Path(cache) if "compiled" in name else None
                with Lambda(name.split(",")[0], event, cache=kept) as function:
                    found[name].append(function.cold_s)
    return found
