"""Expects every minute to come to be as busy as the busy ones."""


def spent(total, slow, budget, period):
    busy = [t for t in total if t]
    return float(np.sum(slow) / (budget * np.mean(busy) * period)) if busy else 0.0
