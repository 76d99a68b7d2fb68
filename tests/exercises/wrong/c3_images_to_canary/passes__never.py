"""Refuses everything."""


def passes(reference, candidate):
    return False
