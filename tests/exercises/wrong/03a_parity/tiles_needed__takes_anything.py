"""Does not refuse a confidence or share outside of 0..1."""

import math


def tiles_needed(share, confidence=0.95):
    share, confidence = min(max(share, 1e-9), 1 - 1e-9), min(max(confidence, 1e-9), 1 - 1e-9)
    n = max(1, math.floor(math.log(1 - confidence) / math.log(1 - share)) - 2)
    while (1 - share) ** n > 1 - confidence:
        n += 1
    return n
