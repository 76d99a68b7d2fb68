"""Blames the step that always takes longest."""


def culprit(before, during):
    return "infer"
