"""The rate divided by the number of detectors: too strict where they agree."""


def limits(null, per_week, windows):
    null = np.asarray(null, float)
    if int(per_week / windows * len(null)) < 1 or not np.isfinite(null).all():
        raise ValueError
    return np.quantile(null, 1 - per_week / windows / null.shape[1], axis=0)
