"""Asks for next week's errors."""


def decide(line):
    return "retrain" if line[line.week + 1]["errors"] > 0.1 else "wait"
