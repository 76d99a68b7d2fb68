"""Looks for a word anywhere in the file."""

import struct
import zlib


def whole(data, width, height):
    position, packed, kind = 8, b"", b""
    while kind != b"IEND":
        if position + 8 > len(data):
            return False
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if position + 12 + length > len(data) or b"acTL" in data:
            return False
        if kind == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position += 12 + length
    if data[position:].strip(b"\0"):
        return False
    expected = height * (1 + width)
    try:
        return len(zlib.decompressobj().decompress(packed, expected + 1)) == expected
    except zlib.error:
        return False
