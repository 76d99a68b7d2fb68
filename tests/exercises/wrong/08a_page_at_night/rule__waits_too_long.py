"""Half an hour of for."""


def rule():
    return {"long": 60, "short": 5, "factor": 14.4, "wait": 30}
