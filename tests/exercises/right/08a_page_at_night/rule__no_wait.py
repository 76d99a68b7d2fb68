"""The windows are all the patience there is."""


def rule():
    return {"long": 60, "short": 6, "factor": 13, "wait": 0}
