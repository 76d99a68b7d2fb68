"""The month is taken to end now."""


def spent(total, slow, budget, period):
    return float(np.sum(slow) / (budget * np.sum(total))) if np.sum(total) else 0.0
