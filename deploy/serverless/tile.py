"""JPEG bytes to a verdict, with as little to import as can be: a cold start is imports.

Three packages beside the standard library: onnxruntime, numpy (which it needs anyway) and simplejpeg. No Pillow, no
OpenCV, no pydantic, no pandas. The pixels are those that the service and the training see: the resize is the same area
average, by a running sum read at 97 places along each axis; a test holds every pixel to OpenCV's.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
import simplejpeg

SIDE = 96
MOST_BYTES = 2_000_000
MOST_PIXELS = 4_000_000


class RefusedError(ValueError):
    """The caller's picture cannot be judged; the message says why."""


class Inspector:
    """The model of a card (JSON beside the ONNX file), checked against the card's SHA-256, one thread."""

    def __init__(self, card=None):
        path = Path(card or os.environ.get("CARD") or Path(__file__).with_name("model.json"))
        self.card = json.loads(path.read_text())
        data = (path.parent / self.card["file"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.card["sha256"]:
            raise RuntimeError(f"{self.card['file']} is not the file that {path.name} describes; deploy both again")
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def tile(self, jpeg):
        """JPEG bytes to uint8 (96, 96). Raises RefusedError."""
        if len(jpeg) > MOST_BYTES:
            raise RefusedError(f"the picture has {len(jpeg):,} bytes; at most {MOST_BYTES:,} are taken")
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
            if height * width > MOST_PIXELS or min(height, width) < SIDE:
                raise RefusedError(f"{width} x {height} pixels; send {SIDE} x {SIDE} up to {MOST_PIXELS:,} pixels")
            grey = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0]
        except RefusedError:
            raise
        except ValueError:
            raise RefusedError("the bytes are no JPEG picture") from None
        return np.rint(area(area(grey).T).T).astype(np.uint8)

    def verdicts(self, jpegs):
        """One answer for each JPEG: its label and probability, or why it was refused."""
        answers, tiles = [None] * len(jpegs), {}
        for i, jpeg in enumerate(jpegs):
            try:
                tiles[i] = self.tile(jpeg)
            except RefusedError as error:
                answers[i] = {"refused": str(error)}
        if tiles:
            batch = np.stack(list(tiles.values()))[:, None]
            logits = self.session.run(None, {self.input: batch})[0] / self.card["temperature"]
            odds = np.exp(logits - logits.max(1, keepdims=True))
            for i, row in zip(tiles, odds / odds.sum(1, keepdims=True), strict=True):
                best = int(row.argmax())
                answers[i] = {"label": self.card["classes"][best], "probability": round(float(row[best]), 4)}
        return answers


def area(picture):
    """Area average along the first axis: (N, M) to float64 (96, M). No matrix product: those start threads."""
    size = len(picture)
    edges = np.arange(SIDE + 1) * (size / SIDE)
    whole = np.minimum(edges.astype(int), size - 1)
    sums = np.zeros((size + 1, picture.shape[1]))
    np.cumsum(picture, axis=0, out=sums[1:])
    # The sum up to an edge inside a pixel: all pixels before it, and the part of this one.
    upto = sums[whole] + (edges - whole)[:, None] * picture[whole]
    return np.diff(upto, axis=0) / (size / SIDE)
