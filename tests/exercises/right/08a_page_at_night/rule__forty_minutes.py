"""Another pair of windows."""


def rule():
    return {"long": 40, "short": 4, "factor": 15, "wait": 2}
