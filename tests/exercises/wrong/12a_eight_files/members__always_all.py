"""Unpacks whatever there is."""


def members(names):
    return list(names)
