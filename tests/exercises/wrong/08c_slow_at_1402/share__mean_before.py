"""Compares with the mean before, which one outlier moves."""


def share(before, during, q=0.99):
    if not len(before) or not len(during):
        raise ValueError("empty")
    step, whole = np.asarray(during, float).T
    return 1 - np.quantile(whole - np.maximum(0, step - np.mean(before)), q) / np.quantile(whole, q)
