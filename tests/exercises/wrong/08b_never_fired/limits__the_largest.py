"""Never a false alarm, and never any other."""


def limits(null, per_week, windows):
    null = np.asarray(null, float)
    if int(per_week / windows * len(null)) < 1 or not np.isfinite(null).all():
        raise ValueError
    return null.max(0)
