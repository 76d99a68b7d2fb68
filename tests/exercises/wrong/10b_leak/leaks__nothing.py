"""Sees nothing."""


def leaks(train, test):
    return set()
