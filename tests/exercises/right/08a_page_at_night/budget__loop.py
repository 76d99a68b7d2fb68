"""Adds up minute by minute."""


def spent(total, slow, budget, period):
    requests = bad = minutes = 0
    for t, s in zip(total, slow, strict=True):
        requests, bad, minutes = requests + t, bad + s, minutes + 1
    return float(bad * minutes / (budget * requests * period)) if requests else 0.0
