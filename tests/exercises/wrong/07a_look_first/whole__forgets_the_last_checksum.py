"""The last chunk may lack its checksum."""

import struct
import zlib


def whole(data, width, height):
    position, packed, kind = 8, b"", b""
    while kind != b"IEND":
        if position + 8 > len(data):
            return False
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if position + 8 + length > len(data) or kind == b"acTL":
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
