"""Removes the other processor's rows from the caller's list."""

import numpy as np


def ship(rows, cpu, floor):
    for r in list(rows):
        if r["cpu"] != cpu:
            rows.remove(r)
    k = [r for r in rows if r["found"] / r["tiles"] >= floor]
    return min(k, key=lambda r: np.median(r["ms"]))["variant"]
