"""The rule of three: right only near 95 % and small shares, and then a little too many."""

import math


def tiles_needed(share, confidence=0.95):
    if not 0 < share < 1 or not 0 < confidence < 1:
        raise ValueError("0..1")
    return math.floor(2.955 / share) if confidence == 0.95 else math.ceil(-math.log(1 - confidence) / share)
