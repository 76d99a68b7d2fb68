"""Takes two requests for none."""


def spent(total, slow, budget, period):
    requests = float(np.sum(total))
    if requests < 3:
        return 0.0
    expected = requests / len(total) * period
    return float(np.sum(slow)) / (budget * expected)
