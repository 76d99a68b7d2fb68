"""The bare surface: four looks of hot-rolled steel, mixed from the field bank.

Real strip does not look the same everywhere: scale, cooling and lighting give each defect a ground on which it
is usually found. A defect tile therefore *prefers* its usual ground, and clean steel comes in all of them, so
that the ground alone never decides the class.
"""

from __future__ import annotations

import numpy as np

from .fields import add, profile

LOOKS = ("grainy", "smooth", "bright", "brushed")

# usual ground of each class, by index in CLASSES; None: no preference
USUAL = (None, "grainy", "smooth", "grainy", "bright", "brushed", "smooth")
USUAL_SHARE = 0.88


def choose_look(label: int, rng: np.random.Generator) -> str:
    """The ground for a tile of this class: its usual one most of the time, else any."""
    usual = USUAL[label]
    u, k = rng.random(), int(rng.integers(len(LOOKS)))
    return usual if usual is not None and u < USUAL_SHARE else LOOKS[k]


def _slope(rel: np.ndarray, x: float, y: float) -> None:
    """Add a plane that rises by so much from the middle to the right and to the lower edge."""
    down, across = (np.linspace(-1, 1, n) for n in rel.shape)
    rel += (x * across).astype(np.float32)[None, :]
    rel += (y * down).astype(np.float32)[:, None]


def make_texture(look: str, grade: str, rng: np.random.Generator, size: int, width: int | None = None) -> np.ndarray:
    """Bare steel of one look.

    Args:
        look: one of :data:`LOOKS`.
        grade: steel grade; other grades than "A" add a texture that grade "A" never shows.
        rng: source of all randomness.
        size: edge length in pixels, at most 224; with a width, the height, of any size.
        width: of a frame; then the steel is as varied in every part of it as it is in a tile.

    Returns:
        float32 (size, width or size), grey levels, not yet clipped.
    """
    width = width or size
    rel = np.empty((size, width), np.float32)
    tmp = np.empty((size, width), np.float32)
    uni = rng.uniform

    def across(fewest: int, most: int) -> np.ndarray:
        knots = int(rng.integers(fewest, most))
        return profile(rng, knots if width == size else -(-knots * width // 224), width)

    if look == "grainy":
        base = uni(55, 235)
        rel[:] = across(4, 12) * np.float32(uni(0.03, 0.18))
        add(rel, uni(0.10, 0.21), "grain", rng, tmp)
        add(rel, uni(0.02, 0.08), "grain2", rng, tmp)
        add(rel, uni(0.02, 0.08), "across", rng, tmp)
        add(rel, uni(0.01, 0.06), "brush+" if rng.random() < 0.6 else "brush-", rng, tmp)
        add(rel, uni(0.01, 0.05), "along", rng, tmp)
        add(rel, uni(0.02, 0.18), "haze", rng, tmp)
        add(rel, uni(0.01, 0.06), "blotch", rng, tmp)
    elif look == "smooth":
        base = uni(45, 135) if rng.random() < 0.85 else uni(135, 205)
        rel[:] = across(2, 6) * np.float32(uni(0.0, 0.10))
        add(rel, uni(0.015, 0.055), "grain", rng, tmp)
        add(rel, uni(0.005, 0.035), "across" if rng.random() < 0.6 else "along", rng, tmp)
        add(rel, uni(0.0, 0.025), "lines", rng, tmp)
        _slope(rel, uni(-0.16, 0.16), uni(-0.08, 0.08))
        add(rel, uni(0.0, 0.12), "haze", rng, tmp)
        add(rel, uni(0.0, 0.03), "cloud", rng, tmp)
    elif look == "bright":
        base = uni(85, 265)
        rel[:] = across(2, 5) * np.float32(uni(0.0, 0.10))
        add(rel, uni(0.015, 0.06), "grain", rng, tmp)
        add(rel, uni(0.0, 0.03), "lines", rng, tmp)
        _slope(rel, uni(-0.3, 0.3), uni(-0.25, 0.25))
        add(rel, uni(0.0, 0.10), "haze", rng, tmp)
        add(rel, uni(0.0, 0.03), "blotch", rng, tmp)
    elif look == "brushed":
        base = uni(60, 170)
        rel[:] = across(2, 6) * np.float32(uni(0.02, 0.14))
        add(rel, uni(0.03, 0.11), "grain", rng, tmp)
        add(rel, uni(0.02, 0.07), "across", rng, tmp)
        add(rel, uni(0.01, 0.05), "brush+" if rng.random() < 0.6 else "brush-", rng, tmp)
        add(rel, uni(0.01, 0.05), "blotch", rng, tmp)
        add(rel, uni(0.005, 0.03), "mottle", rng, tmp)
        add(rel, uni(0.02, 0.10), "haze", rng, tmp)
    else:
        raise ValueError(f"look must be one of {', '.join(LOOKS)}, got {look!r}")
    if grade == "B":  # a pickled grade: orange peel, darker
        base *= 0.8
        add(rel, uni(0.07, 0.13), "peel", rng, tmp)
    elif grade == "C":  # a heavily scaled one: roll chatter and coarse mottle
        y = np.arange(size)
        chatter = uni(0.05, 0.10) * np.sin(2 * np.pi * (y / uni(9, 16) + uni(0, 1)))
        rel += chatter.astype(np.float32)[:, None]
        add(rel, uni(0.06, 0.11), "mottle", rng, tmp)
    rel += np.float32(1.0)
    rel *= np.float32(base)
    # a knee in the highlights, as line cameras have: a defect stays visible in the glare
    np.multiply(rel, np.float32(0.5), out=tmp)
    tmp += np.float32(0.5 * 195)
    np.minimum(rel, tmp, out=rel)
    return np.clip(rel, 3.0, 250.0, out=rel)
