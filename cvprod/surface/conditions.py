"""The line conditions as dials: what the camera and the line do to a tile, apart from the steel itself.

A drift experiment turns one dial and leaves the rest alone; training draws all of them at random.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

GRADES = ("A", "B", "C")


@dataclass(frozen=True)
class Conditions:
    """How one tile was taken. The defaults are the nominal line.

    Args:
        exposure: stops [EV]; +1 doubles the light on the sensor. -3 to 3.
        uneven_light: fall-off of the lamps across the tile as a share of full light. 0 (flat) to 1.
        defocus: standard deviation of the lens blur [px of the 224 px tile]. 0 to 6.
        motion_blur: length of the smear along the rolling direction (vertical) [px]. 0 to 32.
        noise: standard deviation of the sensor noise [grey levels], before the camera's gain. 0 to 64.
        jpeg_quality: 1 to 100, or None when the camera sends raw pixels.
        rotation: angle of the camera against the strip [degree], counter-clockwise. -180 to 180.
        gain: the camera's contrast about mid-grey; amplifies noise too. 0.25 to 4.
        gamma: exponent of the tone curve; above 1 brightens the mid-tones. 0.25 to 4.
        grade: the steel being rolled: "A" is what the networks were trained on, "B" and "C" have another
            surface texture.

    Raises:
        ValueError: a dial is out of range; the message names the dial and its range.
    """

    exposure: float = 0.0
    uneven_light: float = 0.0
    defocus: float = 0.0
    motion_blur: float = 0.0
    noise: float = 1.5
    jpeg_quality: int | None = None
    rotation: float = 0.0
    gain: float = 1.0
    gamma: float = 1.0
    grade: str = "A"

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "exposure": (-3.0, 3.0),
        "uneven_light": (0.0, 1.0),
        "defocus": (0.0, 6.0),
        "motion_blur": (0.0, 32.0),
        "noise": (0.0, 64.0),
        "rotation": (-180.0, 180.0),
        "gain": (0.25, 4.0),
        "gamma": (0.25, 4.0),
    }

    def __post_init__(self) -> None:
        for name, (low, high) in self.RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
            if not low <= value <= high:  # also false for NaN
                raise ValueError(f"{name} must lie from {low:g} to {high:g}, got {value!r}")
        q = self.jpeg_quality
        if q is not None and (isinstance(q, bool) or not isinstance(q, int | np.integer) or not 1 <= q <= 100):
            raise ValueError(f"jpeg_quality must be a whole number from 1 to 100, or None, got {q!r}")
        if self.grade not in GRADES:
            raise ValueError(f"grade must be one of {', '.join(GRADES)}, got {self.grade!r}")

    def with_(self, **dials: object) -> Conditions:
        """A copy with some dials turned: ``NOMINAL.with_(exposure=-1)``."""
        known = {f.name for f in fields(self)}
        unknown = sorted(set(dials) - known)
        if unknown:
            raise ValueError(f"no dial called {', '.join(unknown)}; the dials are {', '.join(sorted(known))}")
        return replace(self, **dials)

    @classmethod
    def routine(cls, rng: np.random.Generator) -> Conditions:
        """Draw what a normal shift looks like: every dial moves a little.

        Args:
            rng: a numpy Generator; the same state gives the same conditions.
        """
        return cls(
            exposure=float(rng.uniform(-0.4, 0.4)),
            uneven_light=float(rng.uniform(0.0, 0.35)),
            defocus=float(max(0.0, rng.uniform(-0.4, 1.0))),
            motion_blur=float(max(0.0, rng.uniform(-3.0, 4.0))),
            noise=float(rng.uniform(1.0, 5.0)),
            jpeg_quality=int(rng.integers(70, 97)) if rng.random() < 0.5 else None,
            rotation=float(rng.uniform(-2.0, 2.0)) if rng.random() < 0.3 else 0.0,
            gain=float(rng.uniform(0.85, 1.15)),
            gamma=float(rng.uniform(0.85, 1.15)),
        )

    @classmethod
    def wide(cls, rng: np.random.Generator) -> Conditions:
        """Draw from far beyond the routine (domain randomisation), for training networks that must also
        work on images of another line. A third of the draws are routine ones.

        Args:
            rng: a numpy Generator; the same state gives the same conditions.
        """
        if rng.random() < 1 / 3:
            return cls.routine(rng)
        return cls(
            exposure=float(rng.uniform(-1.1, 0.7)),
            uneven_light=float(rng.uniform(0.0, 0.7)),
            defocus=float(max(0.0, rng.uniform(-1.0, 1.8))),
            motion_blur=float(max(0.0, rng.uniform(-6.0, 5.0))),
            noise=float(rng.uniform(0.5, 9.0)),
            jpeg_quality=int(rng.integers(40, 97)) if rng.random() < 0.6 else None,
            rotation=float(rng.uniform(-8.0, 8.0)) if rng.random() < 0.4 else 0.0,
            gain=float(rng.uniform(0.6, 1.6)),
            gamma=float(rng.uniform(0.6, 1.6)),
        )


NOMINAL = Conditions()
"""The line as it was set up: no blur, flat light, little noise."""

HARDEST_ROUTINE = Conditions(
    exposure=-0.4, uneven_light=0.35, defocus=1.0, motion_blur=4.0, noise=5.0, jpeg_quality=70, gain=0.85
)
"""Every dial at the unkind end of what :meth:`Conditions.routine` can draw."""
