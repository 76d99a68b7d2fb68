"""Pages for every blip."""


def rule():
    return {"long": 4, "short": 2, "factor": 10, "wait": 0}
