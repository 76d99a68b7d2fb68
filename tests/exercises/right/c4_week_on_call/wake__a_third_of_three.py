"""Three earlier alerts, one of them right, and both costs written out."""


def wake(alert):
    earlier = [*alert["past"], True, False, False]
    loss = alert["lost_per_hour"] * alert["eur_each"]
    with_call, without = oncall.WOKEN, 0.0
    chance = earlier.count(True) / len(earlier)
    with_call += chance * min(alert["hours"], oncall.REPAIR) * loss
    without += chance * alert["hours"] * loss
    return with_call < without
