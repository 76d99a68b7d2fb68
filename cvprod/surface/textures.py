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
USUAL_SHARE = 0.8


def choose_look(label: int, rng: np.random.Generator) -> str:
    """The ground for a tile of this class: its usual one four times of five, else any."""
    usual = USUAL[label]
    u, k = rng.random(), int(rng.integers(len(LOOKS)))
    return usual if usual is not None and u < USUAL_SHARE else LOOKS[k]


def make_texture(look: str, grade: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """Bare steel of one look.

    Args:
        look: one of :data:`LOOKS`.
        grade: steel grade; other grades than "A" add a texture that grade "A" never shows.
        rng: source of all randomness.
        size: edge length in pixels, at most 224.

    Returns:
        float64 (size, size), grey levels, not yet clipped.
    """
    rel = np.empty((size, size))
    tmp = np.empty((size, size))
    uni = rng.uniform
    if look == "grainy":
        base = uni(60, 215)
        rel[:] = 1.0 + profile(rng, int(rng.integers(3, 9)), size) * uni(0.02, 0.12)
        add(rel, uni(0.14, 0.30), "grain", rng, tmp)
        add(rel, uni(0.03, 0.10), "across", rng, tmp)
        add(rel, uni(0.02, 0.10), "brush+" if rng.random() < 0.6 else "brush-", rng, tmp)
        add(rel, uni(0.02, 0.08), "along", rng, tmp)
        add(rel, uni(0.02, 0.10), "haze", rng, tmp)
        add(rel, uni(0.01, 0.05), "blotch", rng, tmp)
    elif look == "smooth":
        base = uni(45, 130) if rng.random() < 0.85 else uni(130, 210)
        rel[:] = 1.0 + profile(rng, int(rng.integers(2, 6)), size) * uni(0.0, 0.10)
        add(rel, uni(0.015, 0.06), "grain", rng, tmp)
        add(rel, uni(0.005, 0.04), "across" if rng.random() < 0.6 else "along", rng, tmp)
        add(rel, uni(0.0, 0.025), "lines", rng, tmp)
        add(rel, uni(0.0, 0.10), "haze", rng, tmp)
        add(rel, uni(0.0, 0.03), "cloud", rng, tmp)
    elif look == "bright":
        base = uni(90, 260)
        rel[:] = 1.0 + profile(rng, int(rng.integers(2, 5)), size) * uni(0.0, 0.12)
        add(rel, uni(0.015, 0.06), "grain", rng, tmp)
        add(rel, uni(0.0, 0.03), "lines", rng, tmp)
        add(rel, uni(0.02, 0.18), "haze", rng, tmp)
        add(rel, uni(0.0, 0.04), "blotch", rng, tmp)
    elif look == "brushed":
        base = uni(60, 165)
        rel[:] = 1.0 + profile(rng, int(rng.integers(2, 5)), size) * uni(0.03, 0.14)
        add(rel, uni(0.03, 0.08), "grain", rng, tmp)
        add(rel, uni(0.03, 0.07), "across", rng, tmp)
        add(rel, uni(0.02, 0.07), "brush+" if rng.random() < 0.6 else "brush-", rng, tmp)
        add(rel, uni(0.01, 0.06), "blotch", rng, tmp)
        add(rel, uni(0.01, 0.05), "mottle", rng, tmp)
        add(rel, uni(0.02, 0.08), "haze", rng, tmp)
    else:
        raise ValueError(f"look must be one of {', '.join(LOOKS)}, got {look!r}")
    if grade == "B":  # a pickled grade: orange peel, darker
        base *= 0.8
        add(rel, uni(0.07, 0.13), "peel", rng, tmp)
    elif grade == "C":  # a heavily scaled one: roll chatter and coarse mottle
        y = np.arange(size)
        pitch = uni(9, 16)
        rel += (uni(0.05, 0.10) * np.sin(2 * np.pi * (y / pitch + uni(0, 1))))[:, None]
        add(rel, uni(0.06, 0.11), "mottle", rng, tmp)
    rel *= base
    return rel
