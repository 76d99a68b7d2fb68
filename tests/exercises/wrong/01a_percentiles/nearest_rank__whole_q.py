"""Rounds q to whole percent."""

import math


def nearest_rank(samples, q):
    s = sorted(samples)
    return s[max(0, math.ceil(round(q) * len(s) / 100) - 1)]
