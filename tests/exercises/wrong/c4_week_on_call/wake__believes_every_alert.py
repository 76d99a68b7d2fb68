"""Does not ask how often this rule was right."""


def wake(alert):
    return max(0, alert["hours"] - 0.5) * alert["lost_per_hour"] * alert["eur_each"] > 200
