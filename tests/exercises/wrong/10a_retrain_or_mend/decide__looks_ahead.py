"""Asks for next week's errors."""


def decide(line):
    try:
        coming = line[line.week + 1]
    except IndexError:
        return "wait"
    return "retrain" if coming["errors"] > 0.1 else "wait"
