"""Counts the codes in place of the steps between them."""


def affine_params(low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 256 or 1.0
    return scale, min(round(-128 - low / scale), 127)
