"""Takes 0 of 1 for never and 1 of 1 for always."""


def wake(alert):
    past = alert["past"]
    chance = sum(past) / len(past) if past else 1 / 3
    return chance * max(0, alert["hours"] - 0.5) * alert["lost_per_hour"] * alert["eur_each"] > 200
