"""Goes on behind the first end."""

import struct
import zlib


def whole(data, width, height):
    p, packed, kinds = 8, b"", []
    while p < len(data):
        if p + 12 > len(data):
            return not data[p:].strip(b"\0") and kinds[-1:] == [b"IEND"] and ok(packed, width, height)
        line, k = struct.unpack(">I4s", data[p : p + 8])
        if k == b"\0\0\0\0" and kinds and kinds[-1] == b"IEND":
            break
        if p + 12 + line > len(data) or k == b"acTL":
            return False
        if k == b"IDAT":
            packed += data[p + 8 : p + 8 + line]
        kinds.append(k)
        p += 12 + line
    return kinds[-1:] == [b"IEND"] and not data[p:].strip(b"\0") and ok(packed, width, height)


def ok(packed, width, height):
    n = height * (1 + width)
    try:
        return len(zlib.decompressobj().decompress(packed, n + 1)) == n
    except zlib.error:
        return False
