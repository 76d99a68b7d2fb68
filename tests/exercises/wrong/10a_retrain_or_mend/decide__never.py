"""Waits."""


def decide(line):
    return "wait"
