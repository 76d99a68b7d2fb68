"""Stops every version."""


def decide(looks):
    return "stop"
