"""Rounds the recall to whole percent."""

import numpy as np


def ship(rows, cpu, floor):
    k = [r for r in rows if r["cpu"] == cpu and round(r["found"] / r["tiles"], 2) >= floor]
    return min(k, key=lambda r: np.median(r["ms"]))["variant"]
