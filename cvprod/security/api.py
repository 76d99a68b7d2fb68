"""The deployed model as an attacker has it: pictures go in over HTTP, and what the service tells comes out.

Tiles travel as JPEG or PNG, the service decodes them, and its INT8 model answers: an attack that works on an array may
be lost on that way, so every accuracy of chapter 12 is taken at its end.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

import cv2
import numpy as np

from cvprod.surface import CLASSES

#: What stands for a class of which the service says nothing, before the rest is shared out.
UNTOLD = 1e-6


class ApiError(RuntimeError):
    """The service refused; the message is its problem."""


def encode(tile: np.ndarray, quality: int | None = None) -> bytes:
    """A tile uint8 (1, S, S) as a file: PNG, which keeps every pixel, or JPEG of that quality (1..100)."""
    kind, options = (".png", []) if quality is None else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imencode(kind, tile[0], options)[1].tobytes()


@dataclass(frozen=True)
class Told:
    """What a service said about some tiles.

    labels: int64 (N,). probabilities: float32 (N, 7), of which only the label's is known where `complete` is False; the
    rest is then shared out evenly.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    complete: bool


class Client:
    """One connection to a service, as a context manager. Counts its queries in `queries`.

    Args:
        port: on the loopback.
        quality: of the JPEG that tiles are sent as; None sends PNG.
        key: an API key.
    """

    def __init__(self, port: int, *, quality: int | None = None, key: str = "") -> None:
        self.port, self.quality, self.queries = port, quality, 0
        self._headers = {"Content-Type": "application/octet-stream"} | ({"X-API-Key": key} if key else {})
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, tile: np.ndarray) -> dict:
        """The answer about one tile, uint8 (1, 96, 96). Raises ApiError for a refusal."""
        self.queries += 1
        body = encode(tile, self.quality)
        try:
            answer = self._post(body)
        except (OSError, http.client.HTTPException):  # the service hangs up on who is silent for long
            self._connection.close()
            answer = self._post(body)
        told = json.loads(answer.read())
        if answer.status != 200:
            raise ApiError(f"{answer.status} {told.get('title', '')}")
        return told

    def _post(self, body: bytes) -> http.client.HTTPResponse:
        self._connection.request("POST", "/v1/inspect?probabilities=true", body, self._headers)
        return self._connection.getresponse()

    def inspect(self, tiles: np.ndarray) -> Told:
        """The service's answers to uint8 (N, 1, 96, 96), one after the other. Raises ApiError."""
        answers = [self.ask(tile) for tile in tiles]
        labels = np.array([CLASSES.index(answer["label"]) for answer in answers])
        table = np.full((len(tiles), len(CLASSES)), np.nan, np.float32)
        complete = all("probabilities" in answer for answer in answers)
        for row, answer in zip(table, answers, strict=True):
            for name, value in answer.get("probabilities", {}).items():
                row[CLASSES.index(name)] = value
        sure = np.array([answer.get("probability", 1.0) for answer in answers], np.float32)
        return Told(labels, table if complete else _shared_out(labels, sure), complete)

    def predict(self, tiles: np.ndarray) -> np.ndarray:
        """As a `Predict` function: logarithms of what was told, float32 (N, 7)."""
        return np.log(np.clip(self.inspect(tiles).probabilities, UNTOLD, 1))

    def accuracy(self, tiles: np.ndarray, labels: np.ndarray) -> float:
        """Share of tiles to which the service gives their true label."""
        return float((self.inspect(tiles).labels == labels).mean())


def _shared_out(labels: np.ndarray, sure: np.ndarray) -> np.ndarray:
    table = np.repeat(((1 - sure) / (len(CLASSES) - 1))[:, None], len(CLASSES), axis=1)
    table[np.arange(len(labels)), labels] = sure
    return table.astype(np.float32)
