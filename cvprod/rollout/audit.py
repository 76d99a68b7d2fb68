"""Pairs of answers: the same picture, asked of both versions beside the callers' traffic.

Callers' requests are split between the versions, so no picture is answered by both. An audit takes pictures whose truth
is known, or will be, and asks both: the difference between two versions on the same tiles takes a fraction of the
labels that the difference between two groups of tiles takes.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from cvprod.rollout.gates import Answer, Pair


class Version:
    """One service, asked over a connection that is kept. Not for two threads at once."""

    def __init__(self, address: str, timeout: float = 5.0) -> None:
        place = urlsplit(address)
        if place.scheme != "http" or not place.hostname:
            raise ValueError(f"{address!r} is no address of a service, such as http://127.0.0.1:8000.")
        self._connection = http.client.HTTPConnection(place.hostname, place.port or 80, timeout=timeout)

    def ask(self, picture: bytes) -> Answer:
        """One inspection. What goes wrong on the way is an answer with status 0, or with the service's own."""
        began = time.perf_counter()
        try:
            self._connection.request("POST", "/v1/inspect", picture, {"Content-Type": "image/jpeg"})
            answer = self._connection.getresponse()
            body = answer.read()
            seconds = time.perf_counter() - began
            return Answer(answer.status, _label(body) if answer.status == 200 else "", seconds)
        except (OSError, ValueError, http.client.HTTPException):
            self._connection.close()
            return Answer(0, "", time.perf_counter() - began)

    def close(self) -> None:
        """Close the connection; the next `ask` opens another."""
        self._connection.close()


def _label(body: bytes) -> str:
    """Of an inspection. Raises ValueError for what is none: whoever answers may not be the service at all."""
    try:
        label = json.loads(body)["label"]
    except (KeyError, TypeError, RecursionError):
        label = None
    if not isinstance(label, str):
        raise ValueError("an answer without a label")
    return label


def pairs(stable: str, canary: str, pictures: Iterable[tuple[bytes, str | None]]) -> Iterator[Pair]:
    """Ask both addresses about every picture (JPEG, truth or None).

    They take turns in being first: whoever is second finds the machine's caches as the other one left them.
    """
    versions = Version(stable), Version(canary)
    try:
        for number, (picture, truth) in enumerate(pictures):
            turn = versions if number % 2 == 0 else versions[::-1]
            answers = {version: version.ask(picture) for version in turn}
            yield Pair(answers[versions[0]], answers[versions[1]], truth)
    finally:
        for version in versions:
            version.close()
