"""Drift means the lens."""


def decide(line):
    return "mend" if line[line.week]["drift"] > 1 else "wait"
