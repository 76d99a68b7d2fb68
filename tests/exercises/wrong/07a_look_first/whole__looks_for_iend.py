"""Looks for the word IEND somewhere near the end, and inflates without a limit."""

import zlib


def whole(data, width, height):
    if b"IEND" not in data[-12:]:
        return False
    start = data.index(b"IDAT") + 4
    try:
        return len(zlib.decompressobj().decompress(data[start:])) == height * (width + 1)
    except zlib.error:
        return False
