"""Believes that an export that runs is the same network."""


def skew(reference, shipped):
    return "same"
