"""Throws the reference away to be safe."""


def watch(rows, live, since):
    return [], 1.5
