"""Sends everything to the inspector, who has time for `budget` files."""


def admit(pictures, repaired, logits, budget):
    return dict.fromkeys(pictures, "inspect")
