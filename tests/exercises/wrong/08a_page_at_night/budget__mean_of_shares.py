"""The mean of the minutes' shares: a quiet minute weighs as much as a busy one."""


def spent(total, slow, budget, period):
    shares = [s / t for t, s in zip(total, slow) if t]
    return float(np.mean(shares) / budget * len(total) / period) if shares else 0.0
