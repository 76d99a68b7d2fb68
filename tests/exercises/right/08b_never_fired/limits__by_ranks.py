"""The best rank of each window decides."""


def limits(null, per_week, windows):
    null = np.asarray(null, float)
    allowed = math.floor(per_week * len(null) / windows + 1e-9)
    if allowed < 1 or np.isnan(null).any() or np.isinf(null).any():
        raise ValueError("too few windows, or no number")
    columns = np.sort(null, axis=0)[::-1]
    low, high = 0, len(null) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if np.any(null > columns[middle], axis=1).sum() <= allowed:
            low = middle
        else:
            high = middle - 1
    return columns[low]
