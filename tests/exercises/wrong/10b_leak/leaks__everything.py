"""Calls everything a leak."""


def leaks(train, test):
    return {"same picture", "same coil", "time", "label in meta"}
