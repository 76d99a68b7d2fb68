"""Finds nothing in any service."""


def cause(m):
    return "nothing"
