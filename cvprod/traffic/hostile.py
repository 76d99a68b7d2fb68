"""Pictures of every kind that a stranger may send, sound and hostile, made on the spot: for chapter 7 and for tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from cvprod.surface import make_tile


def encode(picture: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    """A picture as a file of a kind that Pillow writes, such as "JPEG"."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


STEEL = make_tile("scratches", 3).image
GREY = Image.fromarray(STEEL)
COLOUR = Image.merge("RGB", [GREY, GREY.point(lambda v: v * 0.8), GREY.point(lambda v: 255 - v)])


def oriented(tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif


def interlaced(picture):
    """Pillow does not write Adam7, so it is done here: grey, 8 bits, no filter."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in picture[y::dy, x::dx] if row.size)
    head = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8, 0, 0, 0, 1)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


INTERLACED = interlaced(STEEL[:101, :67])


def sound() -> dict[str, bytes]:
    """Name to file: what the service takes."""
    wide = np.linspace(0, 65535, STEEL.size).reshape(STEEL.shape).astype(np.uint16)
    alpha = GREY.convert("LA")
    alpha.putalpha(100)
    return {
        "jpeg grey": encode(GREY, "JPEG", quality=92),
        "jpeg colour 444": encode(COLOUR, "JPEG", quality=92, subsampling=0),
        "jpeg colour 420": encode(COLOUR, "JPEG", quality=92, subsampling=2),
        "jpeg progressive": encode(COLOUR, "JPEG", quality=90, progressive=True),
        "jpeg turned": encode(GREY.crop((0, 0, 200, 120)), "JPEG", quality=92, exif=oriented(6)),
        "jpeg mirrored": encode(GREY.crop((0, 0, 200, 120)), "JPEG", quality=92, exif=oriented(5)),
        "png grey": encode(GREY, "PNG"),
        "png colour": encode(COLOUR, "PNG"),
        "png 16 bits": encode(wide, "PNG"),
        "png palette": encode(COLOUR.quantize(32), "PNG"),
        "png alpha": encode(alpha, "PNG"),
        "png rgba": encode(COLOUR.convert("RGBA"), "PNG"),
        "png one bit": encode(GREY.convert("1"), "PNG"),
        "png interlaced": INTERLACED,
        "png turned": encode(GREY.crop((0, 0, 200, 120)), "PNG", exif=oriented(8)),
        "bmp grey": encode(GREY, "BMP"),
        "bmp colour": encode(COLOUR, "BMP"),
        "jpeg of odd size": encode(GREY.crop((0, 0, 97, 101)), "JPEG"),
        "large": encode(GREY.resize((1600, 1200)), "JPEG"),
        "jpeg with padding": encode(GREY, "JPEG") + bytes(64),
        # What phones, cameras and programs leave behind the end: a note, a film, a gain map, a preview, a line's end.
        "jpeg with a trailer": encode(GREY, "JPEG") + b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_DataSEFHk\0\0\0SEFT",
        "jpeg with a film": encode(GREY, "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(range(256)),
        "jpeg with a preview": encode(GREY, "JPEG") + encode(GREY.rotate(90), "JPEG"),
        "jpeg with a line's end": encode(GREY, "JPEG") + b"\r\n",
        "progressive jpeg with a preview": encode(GREY, "JPEG", progressive=True) + encode(GREY.rotate(90), "JPEG"),
        "jpeg with a script behind": encode(GREY, "JPEG") + b"<script>alert(1)</script>",
        "jpeg with a zip behind": encode(GREY, "JPEG") + b"PK\x03\x04" + b"x" * 50,
    }


def png(width, height, *, bits=8, colour=0, rows=None, extra=b""):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = zlib.compress(rows if rows is not None else bytes((width + 1) * min(height, 200)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def bmp(*fields):
    return b"BM" + struct.pack("<IIIIiiHHI", *fields)


def with_height(jpeg, height):
    position = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:position] + struct.pack(">H", height) + jpeg[position + 2 :]


def hostile() -> dict[str, tuple[bytes, str]]:
    """Name to (file, slug): what the service refuses, and what it calls it (a key of `serving.errors.KINDS`)."""
    jpeg, ping = encode(GREY, "JPEG"), encode(GREY, "PNG")
    progressive = encode(GREY, "JPEG", progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    frames = [GREY, GREY.rotate(90)]
    return {
        "empty": (b"", "image-unsupported"),
        "text": (b"hello, this is no picture", "image-unsupported"),
        "gif": (encode(GREY, "GIF"), "image-unsupported"),
        "webp": (encode(GREY, "WEBP"), "image-unsupported"),
        "tiff": (encode(GREY, "TIFF"), "image-unsupported"),
        "pdf": (encode(GREY, "PDF"), "image-unsupported"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image-unsupported"),
        "zip": (b"PK\x03\x04" + bytes(100), "image-unsupported"),
        "cmyk jpeg": (encode(COLOUR.convert("CMYK"), "JPEG"), "image-colour-unsupported"),
        "jpeg cut in half": (jpeg[: len(jpeg) // 2], "image-truncated"),
        "jpeg header only": (jpeg[:4], "image-truncated"),
        "jpeg cut, end glued on": (jpeg[: len(jpeg) // 2] + b"\xff\xd9", "image-corrupt"),
        "jpeg of zero height": (with_height(jpeg, 0), "image-unsupported"),
        "jpeg that lies about its height": (with_height(jpeg, 65500), "image-corrupt"),
        "jpeg of a thousand scans": (progressive[:scan] + progressive[scan:-2] * 1000 + b"\xff\xd9", "image-corrupt"),
        "jpeg of 12 bits": (jpeg.replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc1\x00\x0b\x0c"), "image-unsupported"),
        "jpeg, arithmetic": (jpeg.replace(b"\xff\xc0", b"\xff\xc9"), "image-unsupported"),
        "png cut in half": (ping[: len(ping) // 2], "image-truncated"),
        "png header only": (ping[:20], "image-truncated"),
        "png with a script behind": (ping + b"<script>", "image-trailing-data"),
        "png, animated": (encode(frames[0], "PNG", save_all=True, append_images=frames[1:]), "image-animated"),
        "png bomb": (png(60_000, 60_000), "image-too-large"),
        "png short of rows": (png(224, 224, rows=bytes(225 * 10)), "image-corrupt"),
        "png of depth 3": (png(224, 224, bits=3), "image-corrupt"),
        "png without data": (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""),
            "image-corrupt",
        ),
        "tiny": (encode(GREY.resize((8, 8)), "PNG"), "image-too-small"),
        "bmp cut in half": (encode(GREY, "BMP")[:20_000], "image-truncated"),
        "bmp bomb": (bmp(0, 0, 54, 40, 2**30, 2**30, 1, 24, 0) + bytes(20), "image-truncated"),
        "bmp, compressed": (bmp(0, 0, 54, 40, 64, 64, 1, 8, 1) + bytes(5000), "image-unsupported"),
    }  # fmt: skip


def oversized() -> dict[str, tuple[bytes, str]]:
    """Name to (file, slug): sound pictures that cost too much. The first is small, and unpacks to a thousand times its
    size, below the number of pixels that Pillow warns of; the second is as large as it looks."""
    return {
        "png of 81 million pixels": (encode(Image.new("L", (9000, 9000)), "PNG"), "image-too-large"),
        "jpeg of 20 MB": (encode(GREY, "JPEG") + bytes(20 * 2**20), "body-too-large"),
    }
