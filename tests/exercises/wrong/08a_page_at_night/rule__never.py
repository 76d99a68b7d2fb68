"""Quiet in every month."""


def rule():
    return {"long": 60, "short": 5, "factor": 101, "wait": 1}
