"""Looks at the requests that are slow now: others would be the slowest then."""


def share(before, during, q=0.99):
    if not len(before) or not len(during):
        raise ValueError("empty")
    step, whole = np.asarray(during, float).T
    slow = whole >= np.quantile(whole, q)
    return np.maximum(0, step[slow] - np.median(before)).mean() / whole[slow].mean()
