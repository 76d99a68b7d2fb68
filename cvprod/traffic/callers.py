"""Callers that ask one picture after the other and never give up, and what became of each of their calls."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """One request as its caller saw it: when it was sent and answered (time.monotonic()), status, label or error, and
    the version of the model that answered."""

    sent: float
    done: float
    status: int
    label: str
    version: str = ""


def ask(port: int, picture: bytes, connection: http.client.HTTPConnection | None = None) -> Call:
    """One inspection. Raises OSError or HTTPException where no answer comes."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = time.monotonic()
    connection.request("POST", "/v1/inspect", picture, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    body = answer.read()
    found = json.loads(body) if "json" in answer.headers.get("Content-Type", "") else {}  # a proxy says it in HTML
    version = found.get("model", {}).get("version", "")
    return Call(sent, time.monotonic(), answer.status, found.get("label", ""), version)


class Callers:
    """Threads that ask without a pause and never try again by themselves; `stop` gives all their calls."""

    def __init__(self, port: int, picture: bytes, n: int = 4, pause: float = 0.0) -> None:
        self.port, self.picture, self.pause = port, picture, pause
        self._stopped, self._seen = threading.Event(), []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self._stopped.is_set():
            sent = time.monotonic()
            try:
                self._seen.append(ask(self.port, self.picture, connection))
            except (OSError, ValueError, http.client.HTTPException) as error:
                self._seen.append(Call(sent, time.monotonic(), 0, type(error).__name__))
                connection.close()
            if self.pause:
                time.sleep(self.pause)

    @property
    def seen(self) -> list[Call]:
        """All calls so far, while they go on."""
        return list(self._seen)

    def stop(self) -> list[Call]:
        """All calls so far, by their end."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)
        return sorted(self._seen, key=lambda call: call.done)
