def skew(reference, shipped):
    from scipy.optimize import linear_sum_assignment

    def same(a, b):
        return np.mean(a.argmax(1) == b.argmax(1)) >= 0.98

    if (shipped > -0.01).all() and np.abs(shipped.sum(1) - 1).max() < 0.05:
        return "probabilities"
    if same(reference, shipped):
        return "same"
    cost = -np.corrcoef(reference.T, shipped.T)[: reference.shape[1], reference.shape[1] :]
    order = linear_sum_assignment(cost)[1]
    if same(reference, shipped[:, order]):
        return "classes"
    nearest = np.abs(reference[:, None] - shipped[None]).max(axis=2).argmin(axis=1)
    if np.median(np.abs(reference - shipped[nearest])) < 0.5 and len(set(nearest)) > 200 * len(nearest) / 256:
        return "rows"
    return "preprocessing"
