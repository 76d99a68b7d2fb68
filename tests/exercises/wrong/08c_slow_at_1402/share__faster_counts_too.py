"""Makes requests longer in which the step was quicker than usual."""


def share(before, during, q=0.99):
    if not len(before) or not len(during):
        raise ValueError("empty")
    step, whole = np.asarray(during, float).T
    return 1 - np.quantile(whole - step + np.median(before), q) / np.quantile(whole, q)
