"""Reads the chunks from a stream, as a decoder would."""

import io


def whole(data, width, height):
    stream = io.BytesIO(data)
    stream.seek(8)
    inflate, room = zlib.decompressobj(), height * (1 + width)
    packed = bytearray()
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return False
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        body = stream.read(length + 4)
        if len(body) != length + 4 or kind == b"acTL":
            return False
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            packed.extend(body[:length])
    if any(stream.read()):
        return False
    try:
        return len(inflate.decompress(bytes(packed), room + 1)) == room
    except zlib.error:
        return False
