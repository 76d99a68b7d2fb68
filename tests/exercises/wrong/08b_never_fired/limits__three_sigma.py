"""Mean and three standard deviations, whatever was promised."""


def limits(null, per_week, windows):
    null = np.asarray(null, float)
    if int(per_week / windows * len(null)) < 1 or not np.isfinite(null).all():
        raise ValueError
    return null.mean(0) + 3 * null.std(0)
