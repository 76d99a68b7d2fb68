"""What is over goes on paging, for the long window remembers."""


def rule():
    return {"long": 60, "short": 50, "factor": 14.4, "wait": 1}
