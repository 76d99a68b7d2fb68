"""Never looks at the word: another chunk of the same length passes for the header."""


def size(data, max_pixels):
    if data[:8] != SIGNATURE or len(data) < 33:
        raise Refused("not a PNG, or cut")
    length, _, width, height = struct.unpack(">I4sII", data[8:24])
    if length != 13 or zlib.crc32(data[12:29]) != struct.unpack(">I", data[29:33])[0]:
        raise Refused("no sound header")
    if width == 0 or height == 0 or width * height > max_pixels:
        raise Refused("no size for us")
    return width, height
