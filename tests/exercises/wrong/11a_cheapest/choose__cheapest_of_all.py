"""Looks at the price alone."""


def choose(offers, work):
    return min(offers, key=lambda offer: offer["price"], default={"name": None})["name"]
