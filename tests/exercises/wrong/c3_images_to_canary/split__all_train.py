"""Keeps everything for training."""


def split(tiles):
    return [False] * len(tiles)
