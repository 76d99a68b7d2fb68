"""Looks for an animation before the data alone."""


def whole(data, width, height):
    position, packed = 8, b""
    while True:
        if position + 12 > len(data):
            return False
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        if end > len(data) or (kind == b"acTL" and not packed):
            return False
        if kind == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position = end
        if kind == b"IEND":
            break
    if data[position:].strip(b"\0"):
        return False
    expected = height * (1 + width)
    try:
        return len(zlib.decompressobj().decompress(packed, expected + 1)) == expected
    except zlib.error:
        return False
