"""Rounds the number of alarms down after floating point did."""


def limits(null, per_week, windows):
    null = np.asarray(null, float)
    allowed = int(per_week / windows * len(null))
    if allowed < 1 or not np.isfinite(null).all():
        raise ValueError("more null windows are needed, and each score must be a number")
    ordered = -np.sort(-null, axis=0)
    kept = [deep for deep in range(len(null)) if (null > ordered[deep]).any(1).sum() <= allowed]
    return ordered[max(kept)]
