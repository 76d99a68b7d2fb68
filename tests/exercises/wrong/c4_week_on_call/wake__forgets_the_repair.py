"""Forgets that the repair takes half an hour, in which nothing is saved."""


def wake(alert):
    chance = (sum(alert["past"]) + 0.7) / (len(alert["past"]) + 2)
    return chance * alert["hours"] * alert["lost_per_hour"] * alert["eur_each"] > 200
