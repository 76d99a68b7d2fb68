"""What the line shows under one set of conditions, as tiles and as the served network's embeddings, kept on disk.

A year of drift needs thousands of tiles, each a few milliseconds to draw. A kept set is found by a key over everything
that shapes it, the generator's and the network's own bytes included.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import cvprod.surface
from cvprod.files import replacing
from cvprod.surface import NOMINAL, Conditions, make_set

from . import heads


@dataclass(frozen=True, eq=False)
class Embedded:
    """Tiles as the network sees them: `x` float32 (N, D) embeddings, `y` int64 (N,) true classes."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: slice | np.ndarray) -> Embedded:
        return Embedded(self.x[chosen], self.y[chosen])

    def __add__(self, other: Embedded) -> Embedded:
        return Embedded(np.concatenate([self.x, other.x]), np.concatenate([self.y, other.y]))

    @property
    def digest(self) -> str:
        """sha256, hex: equal digests mean equal data."""
        return heads.digest(self.x, self.y)


def kept_folder() -> Path:
    """`$CVPROD_CACHE`, else `$XDG_CACHE_HOME/cvprod`, else `~/.cache/cvprod`; made where it is missing."""
    chosen = os.environ.get("CVPROD_CACHE")
    folder = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvprod"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def line(n: int, seed: int, conditions: str | Conditions = "routine", *, workers: int = 2) -> Embedded:
    """n tiles of a line under `conditions`, classes balanced, through the shipped network.

    conditions: as in `cvprod.surface.make_set`; a Conditions is one dial turned away from the nominal line.
    """
    source = hashlib.sha256()
    for path in sorted(Path(cvprod.surface.__file__).parent.glob("*.py")):
        source.update(path.read_bytes())
    source.update(f"{n} {seed} {conditions!r} {np.__version__} {cv2.__version__}".encode())
    source.update(heads.shipped().model)
    path = kept_folder() / f"line-{source.hexdigest()[:24]}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as archive:
                kept = Embedded(archive["x"], archive["y"])
                if kept.digest == str(archive["digest"]):
                    return kept
        except Exception:
            path.unlink(missing_ok=True)  # whatever is wrong with a kept file, making it anew is right
    tiles = make_set(n, seed, conditions=conditions, workers=workers)
    made = Embedded(heads.shipped().run(tiles.images), tiles.labels)
    with replacing(path) as file:
        np.savez(file, x=made.x, y=made.y, digest=made.digest)
    return made


#: The regimes of the simulated year: what changes on the line, as a dial.
REGIMES: dict[str, str | Conditions] = {
    "routine": "routine",
    "camera tuned": NOMINAL.with_(gain=0.5, gamma=1.6),
    "faster strip": NOMINAL.with_(motion_blur=9.0),
    "lens slips": NOMINAL.with_(defocus=4.0),
}
POOL = 720


def pool(regime: str, n: int = POOL) -> Embedded:
    """n tiles of a regime, the same each time. Raises ValueError for a regime that is not in `REGIMES`."""
    if regime not in REGIMES:
        raise ValueError(f"no regime {regime!r}; there are {', '.join(REGIMES)}.")
    return line(n, 600 + list(REGIMES).index(regime), REGIMES[regime])
