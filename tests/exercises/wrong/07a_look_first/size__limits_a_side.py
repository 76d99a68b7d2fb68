"""Limits each side, too."""


def size(data, max_pixels):
    if data[:8] != SIGNATURE or len(data) < 33:
        raise Refused("not a PNG, or cut in its header")
    length, kind, width, height = struct.unpack(">I4sII", data[8:24])
    if length != 13 or kind != b"IHDR" or zlib.crc32(data[12:29]) != struct.unpack(">I", data[29:33])[0]:
        raise Refused("no sound header")
    if width == 0 or height == 0 or width * height > max_pixels or max(width, height) > 100_000:
        raise Refused(f"{width} x {height} pixels")
    return width, height
