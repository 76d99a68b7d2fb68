"""Generated tile sets, kept on disk between trainings.

Drawing 20,000 tiles takes about a minute, reading them back a fraction of a second. A cached set is found by a key over
everything that shapes it, the generator's own source included: after any change there, old tiles are never used again.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

import cvprod.surface
from cvprod.files import replacing
from cvprod.surface import INPUT_SIZE, TileSet, make_set


def cache_folder() -> Path:
    """`$CVPROD_CACHE`, else `$XDG_CACHE_HOME/cvprod`, else `~/.cache/cvprod`."""
    if os.environ.get("CVPROD_CACHE"):
        return Path(os.environ["CVPROD_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvprod"


@cache
def generator_version() -> str:
    """Twelve hex digits of the sha256 over the generator's source: equal exactly when the generator is the same."""
    digest = hashlib.sha256()
    for path in sorted(Path(cvprod.surface.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def cached_set(n: int, seed: int, *, conditions: str = "routine", workers: int = 2) -> TileSet:
    """`make_set(n, seed, conditions=conditions)`, from the disk when it was generated before.

    Returns a TileSet of uint8 (n, 1, 96, 96) images with empty boxes: training does not need them. A damaged cache file
    is found by its digest and generated again.
    """
    key = json.dumps(
        [n, seed, conditions, INPUT_SIZE, generator_version(), np.__version__, version("opencv-python-headless")]
    )
    path = cache_folder() / f"tiles-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as archive:
                kept = _without_boxes(archive["images"], archive["labels"])
                if kept.digest == str(archive["digest"]):
                    return kept
        except Exception:
            path.unlink()  # whatever is wrong with a cache file, making it anew is right
    made = make_set(n, seed, conditions=conditions, workers=workers)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        np.savez(file, images=made.images, labels=made.labels, digest=made.digest)
    return _without_boxes(made.images, made.labels)


def _without_boxes(images: np.ndarray, labels: np.ndarray) -> TileSet:
    return TileSet(images, labels, [np.zeros((0, 4), np.int64)] * len(labels))
