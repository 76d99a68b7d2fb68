"""Reads field by field."""

import zlib


def size(data, max_pixels):
    if len(data) < 33 or not data.startswith(SIGNATURE):
        raise Refused("header")
    if data[8:16] != (13).to_bytes(4, "big") + b"IHDR" or zlib.crc32(data[12:29]).to_bytes(4, "big") != data[29:33]:
        raise Refused("header")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not 0 < width * height <= max_pixels:
        raise Refused("size")
    return width, height
