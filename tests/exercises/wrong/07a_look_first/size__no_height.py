"""Takes a picture without height."""

import struct
import zlib


def size(data, max_pixels):
    if len(data) < 33 or data[:16] != SIGNATURE + struct.pack(">I", 13) + b"IHDR":
        raise Refused("no header")
    width, height, checksum = *struct.unpack(">II", data[16:24]), *struct.unpack(">I", data[29:33])
    if zlib.crc32(data[12:29]) != checksum or width == 0 or width * height > max_pixels:
        raise Refused("checksum or size")
    return width, height
