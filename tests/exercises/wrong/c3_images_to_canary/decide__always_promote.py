"""Promotes whatever lived for six hours."""


def decide(looks):
    return "promote" if len(looks) >= 36 else "go on"
