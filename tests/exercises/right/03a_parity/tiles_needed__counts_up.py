"""Multiplies until the chance of slipping through is small enough."""


def tiles_needed(share, confidence=0.95):
    if share <= 0 or share >= 1 or confidence <= 0 or confidence >= 1:
        raise ValueError("a share and a confidence lie between 0 and 1")
    n = 1
    while (1 - share) ** n > 1 - confidence:
        n += 1
    return n
