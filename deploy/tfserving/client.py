"""Ask TensorFlow Serving over REST: `python deploy/tfserving/client.py tile.jpg --label stable`.

The format is https://www.tensorflow.org/tfx/serving/api_rest: rows of `instances` in, rows of `predictions` out.
Pictures are decoded as the book's own service does, so that the same file gives the same tile whoever serves it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from cvprod.surface import CLASSES, INPUT_SIZE


class ServingError(RuntimeError):
    """The server refused, failed or could not be reached.

    Attributes:
        status: the HTTP status, or None where there was no answer.
        again: whether the same request may succeed later.
    """

    def __init__(self, message: str, status: int | None = None, *, again: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.again = again


class Client:
    """One model on one server.

    Args:
        address: of the REST port, such as "http://127.0.0.1:8501".
        model: its name in models.config.
        label, version: which version to ask for; neither asks for the newest that is loaded, both is an error.
        timeout: seconds for one request.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8501",
        model: str = "steel",
        *,
        label: str | None = None,
        version: int | None = None,
        timeout: float = 5.0,
    ) -> None:
        if label is not None and version is not None:
            raise ValueError("name a label or a version, not both")
        self.model = f"{address.rstrip('/')}/v1/models/{model}"
        self.place = f"/labels/{label}" if label else f"/versions/{version}" if version is not None else ""
        self.timeout = timeout

    def predict(self, tiles: np.ndarray) -> np.ndarray:
        """Logits float32 (N, 7) of tiles: (N, 96, 96) or (N, 1, 96, 96), grey levels 0..255.

        Raises ValueError for other shapes or values, ServingError for what the server says.
        """
        tiles = np.asarray(tiles)
        if tiles.ndim == 4 and tiles.shape[1] == 1:
            tiles = tiles[:, 0]
        if tiles.ndim != 3 or tiles.shape[1:] != (INPUT_SIZE, INPUT_SIZE) or not len(tiles):
            raise ValueError(f"tiles must be (N, {INPUT_SIZE}, {INPUT_SIZE}), N at least 1, not {tiles.shape}")
        if not np.isfinite(tiles).all() or tiles.min() < 0 or tiles.max() > 255:
            raise ValueError("tiles must hold grey levels from 0 to 255")
        # The SavedModel keeps channels last. Integers are written without a point, which halves the request.
        rows = np.rint(tiles).astype(np.uint8)[..., None].tolist()
        body = {"signature_name": "serving_default", "instances": rows}
        answer = self._ask(f"{self.model}{self.place}:predict", body)
        try:
            logits = np.asarray(answer["predictions"], np.float32)
        except (KeyError, TypeError, ValueError):
            raise ServingError("the answer holds no rows of predictions: is the signature another one?") from None
        if logits.shape != (len(tiles), len(CLASSES)):
            raise ServingError(f"{logits.shape} predictions for {len(tiles)} tiles of {len(CLASSES)} classes")
        if not np.isfinite(logits).all():  # TensorFlow Serving writes NaN and Infinity, which JSON does not have
            raise ServingError("the model gives logits that are not numbers")
        return logits

    def status(self) -> dict[int, str]:
        """Version -> state (START, LOADING, AVAILABLE, UNLOADING, END) of all that the server knows."""
        answer = self._ask(self.model)
        try:
            return {int(entry["version"]): str(entry["state"]) for entry in answer["model_version_status"]}
        except (KeyError, TypeError, ValueError):
            raise ServingError("the answer is not a model's status: is this TensorFlow Serving?") from None

    def _ask(self, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read()
            try:
                message = json.loads(said)["error"]
            except (ValueError, KeyError, TypeError):
                message = said[:200].decode(errors="replace").strip() or error.reason
            # 404 comes from a model or label that is not there (yet), 503 from a full queue of batches.
            raise ServingError(f"{error.code}: {message}", error.code, again=error.code in (429, 503, 504)) from None
        except TimeoutError:
            raise ServingError(f"no answer within {self.timeout:g} s", again=True) from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error)
            raise ServingError(f"{url} cannot be reached: {reason}", again=True) from None
        try:
            return json.loads(text)
        except ValueError:
            raise ServingError("the answer is not JSON: is this the REST port (8501), not the one of gRPC?") from None


def main(arguments: list[str] | None = None) -> int:
    """Print each picture's label and logit. Returns 0, or 1 with a line on standard error."""
    from cvprod.serving.errors import InvalidImage
    from cvprod.serving.images import to_tile

    parser = argparse.ArgumentParser(description="Classify pictures with TensorFlow Serving.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="of the REST port (default %(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--label", help="such as stable or canary")
    which.add_argument("--version", type=int)
    given = parser.parse_args(arguments)
    try:
        tiles = np.stack([to_tile(path.read_bytes()) for path in given.pictures])
        logits = Client(given.url, label=given.label, version=given.version).predict(tiles)
    except (ServingError, InvalidImage, OSError) as error:
        print(f"client: {error}", file=sys.stderr)
        return 1
    for path, row in zip(given.pictures, logits, strict=True):
        print(f"{path}\t{CLASSES[int(row.argmax())]}\t{row.max():.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
