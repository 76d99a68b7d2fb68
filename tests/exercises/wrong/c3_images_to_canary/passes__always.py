"""Lets everything through."""


def passes(reference, candidate):
    return True
