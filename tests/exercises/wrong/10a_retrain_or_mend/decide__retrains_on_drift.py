"""Drift means training, for a blurred lens too."""


def decide(line):
    return "retrain" if line[line.week]["drift"] > 1 else "wait"
