"""Python's own integers, which never overflow."""

import numpy as np


def dense(x, x_fraction, weight, bias, weight_fraction, width, fraction):
    x, weight, bias = (np.asarray(a).tolist() for a in (x, weight, bias))
    top, drop = 2 ** (width - 1), x_fraction + weight_fraction - fraction
    rows = []
    for given in x:
        row = []
        for weights, constant in zip(weight, bias, strict=True):
            total = sum(a * b for a, b in zip(given, weights, strict=True)) + constant * 2**x_fraction
            total = max(total, 0)
            total = (2 * total + 2**drop) // 2 ** (drop + 1) if drop > 0 else total * 2**-drop
            row.append(min(total, top - 1))
        rows.append(row)
    return np.array(rows, np.int64)
