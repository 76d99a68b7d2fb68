"""Never asks for more than ten thousand tiles."""


def tiles_needed(share, confidence=0.95):
    if not 0 < share < 1 or not 0 < confidence < 1:
        raise ValueError("share and confidence must lie between 0 and 1")
    n = max(1, int(np.log(1 - confidence) / np.log(1 - share)))
    while n > 1 and (1 - share) ** (n - 1) <= 1 - confidence:
        n -= 1
    while (1 - share) ** n > 1 - confidence:
        n += 1
    return min(n, 10000)
