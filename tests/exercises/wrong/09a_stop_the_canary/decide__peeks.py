"""A z-test, as if each look were the only one."""


def decide(history):
    if None in history:
        return "hold"
    d = np.asarray(history, float)
    if len(d) < 50:
        return "hold"
    error = max(d.std() / len(d) ** 0.5, 1e-9)
    if d.mean() / error > 1.645:
        return "stop"
    return "promote" if len(d) >= 2000 else "hold"
