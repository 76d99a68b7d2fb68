"""A fixed number of pairs: a catastrophe lives through all of them."""


def decide(history):
    if None in history or len(history) < 1000:
        return "hold"
    d = np.asarray(history[:1000], float)
    return "stop" if d.mean() > 2 * d.std() / 1000**0.5 else "promote"
