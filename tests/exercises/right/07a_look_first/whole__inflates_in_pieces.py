"""Inflates chunk by chunk and counts."""

import struct
import zlib


def whole(data, width, height):
    expected, found, position, ended = height * (width + 1), 0, 8, False
    inflater = zlib.decompressobj()
    while position + 12 <= len(data) and not ended:
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data) or kind == b"acTL":
            return False
        if kind == b"IDAT" and found <= expected:
            try:
                found += len(inflater.decompress(data[position + 8 : position + 8 + length], expected + 1))
            except zlib.error:
                return False
        ended = kind == b"IEND"
        position += 12 + length
    return ended and not any(data[position:]) and found == expected
