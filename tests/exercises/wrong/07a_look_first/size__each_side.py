"""Limits each side by the root of the limit: long thin pictures are refused."""

import struct
import zlib


def size(data, max_pixels):
    if data[:8] != SIGNATURE or len(data) < 33:
        raise Refused("not a PNG")
    length, kind, width, height = struct.unpack(">I4sII", data[8:24])
    if length != 13 or kind != b"IHDR" or zlib.crc32(data[12:29]) != struct.unpack(">I", data[29:33])[0]:
        raise Refused("header")
    if width == 0 or height == 0 or max(width, height) > max_pixels**0.5 + 20:
        raise Refused("size")
    return width, height
