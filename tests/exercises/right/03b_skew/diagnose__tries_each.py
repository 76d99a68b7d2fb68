"""Applies each fault to the wanted tensor, instead of undoing it."""

import numpy as np


def diagnose(wanted, seen):
    w, s = wanted.astype(np.float64), np.asarray(seen).astype(np.float64)
    if not np.isfinite(s).all():
        return "unknown"
    tries = [
        ("none", w, 2.01),
        ("range", w / 255, 2.01 / 255),
        ("normalised", (w - 128) / 64, 2.01 / 64),
        ("inverted", 255 - w, 2.01),
        ("transposed", np.swapaxes(w, 1, 2), 2.01),
    ]
    for name, made, allowed in tries:
        if np.allclose(s, made, rtol=0, atol=allowed):
            return name
    if max(abs(a.mean() - b.mean()) for a, b in zip(w, s, strict=True)) <= 5:
        return "resize"
    return "unknown"
