"""Takes a q below 1 for a share."""

import math


def nearest_rank(samples, q):
    q = q * 100 if q < 1 else q
    s = sorted(samples)
    return s[max(0, math.ceil(q * len(s) / 100) - 1)]
