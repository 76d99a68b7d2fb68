"""A factor that 8 % slow exceeds."""


def rule():
    return {"long": 60, "short": 5, "factor": 6, "wait": 1}
