"""Pictures from strangers: looked at before they are decoded, and decoded to the pixels that training saw.

Everything that can be known from the header is checked first, in plain Python on a few bytes: format by its magic
bytes, size, pixels, colour model, frames, end of file. Only then is memory allocated. Decoding gives what
`cvprod.surface.read_image` gives for the same file, within 2 grey levels for colour JPEG (libjpeg's luma against luma
of the decoded RGB) and exactly for everything else: 16 bits become 8 by their upper byte, palettes become luma,
transparency is dropped, EXIF orientation is applied, and all other metadata is never read.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from cvprod.surface import to_input

from .errors import InvalidImage

MAX_PIXELS = 4096 * 4096
MIN_SIDE = 16
#: A progressive JPEG may repeat its scans without end, each of them a pass over the whole picture.
MAX_SCANS = 64
#: Before the first scan of a JPEG. Files from cameras have ten or so, a large colour profile takes some dozens.
MAX_SEGMENTS = 2000

_REFUSED = (
    (b"GIF8", 0, "GIF"),
    (b"WEBP", 8, "WebP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"II+\0", 0, "TIFF"),  # its 64-bit variant
    (b"MM\0+", 0, "TIFF"),
    (b"%PDF", 0, "PDF"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftyphei", 4, "HEIF"),
    (b"ftyphev", 4, "HEIF"),
    (b"ftypmif1", 4, "HEIF"),
    (b"ftypmsf1", 4, "HEIF"),
    (b"PK\x03\x04", 0, "ZIP"),
    (b"\x1f\x8b", 0, "gzip"),
    (b"<svg", 0, "SVG"),
    (b"<?xml", 0, "XML"),
    (b"8BPS", 0, "Photoshop"),
    (b"ftyp", 4, "an ISO media file (video)"),
    (b"\x1aE\xdf\xa3", 0, "Matroska video"),
    (b"qoif", 0, "QOI"),
)


@dataclass(frozen=True)
class Header:
    """What a file says about itself, before a pixel of it is decoded."""

    format: str
    width: int
    height: int
    channels: int
    bits: int
    orientation: int = 1  #: as EXIF counts: 1 is upright, 2 to 8 are mirrored or turned

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width after the turn that EXIF asks for: the shape of what `decode` gives."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def probe(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Check a picture's header and structure. Raises InvalidImage, with a slug that names what is wrong."""
    if data[:3] == b"\xff\xd8\xff":
        header = _jpeg(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        header = _png(data)
    elif data[:2] == b"BM":
        header = _bmp(data)
    else:
        raise InvalidImage("image-unsupported", f"{_name(data)} is not accepted. Send JPEG, PNG or BMP.")
    if header.width < MIN_SIDE or header.height < MIN_SIDE:
        raise InvalidImage(
            "image-too-small", f"{header.width} x {header.height} pixels; at least {MIN_SIDE} x {MIN_SIDE}."
        )
    if header.pixels > max_pixels:
        raise InvalidImage("image-too-large", f"{header.width} x {header.height} pixels; at most {max_pixels} in all.")
    return header


def claimed(data: bytes) -> int:
    """How many pixels a file says it has: no more than a look, for who must know what decoding it will take.

    Nothing is checked, see `probe` for that. 0 where the file does not say.
    """
    if data[:2] == b"\xff\xd8":
        position = 2
        for _ in range(MAX_SEGMENTS):
            if position + 9 > len(data):
                break
            marker = data[position + 1]
            if marker in _FRAMES:
                return (data[position + 5] << 8 | data[position + 6]) * (data[position + 7] << 8 | data[position + 8])
            position += 1 if marker == 0xFF else 2 + (data[position + 2] << 8 | data[position + 3])
    elif data[:4] == b"\x89PNG" and len(data) >= 24:
        return int.from_bytes(data[16:20]) * int.from_bytes(data[20:24])
    elif data[:2] == b"BM" and len(data) >= 26:
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width * height)
    return 0


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture as grey levels.

    Returns:
        uint8 (H, W).

    Raises:
        InvalidImage: see `probe`; also what only shows while decoding.
    """
    header = probe(data, max_pixels=max_pixels)
    if header.format == "PNG":
        _check_rows(data, header)
        data = _bare(data)
    if header.format == "JPEG":
        try:  # not by Pillow, which is silent about what libjpeg warns of, such as a scan that ends too soon
            return _upright(simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0], header.orientation)
        except ValueError:
            raise InvalidImage("image-corrupt", "The JPEG data is damaged.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which is dropped anyway
            with Image.open(io.BytesIO(data), formats=(header.format,)) as picture:
                picture.load()
                return _upright(_grey(picture), header.orientation)
    except MemoryError:
        raise
    except Exception:  # a decoder may fail in any way on a hostile file: its words are not ours to pass on
        raise InvalidImage("image-corrupt", f"The {header.format} data is damaged.") from None


def to_tile(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture as the network takes it: uint8 (96, 96). Raises InvalidImage."""
    return to_input(decode(data, max_pixels=max_pixels))


def warm_up() -> None:
    """Decode one picture of each kind, so that no caller pays for loading the decoders."""
    grey = Image.fromarray(np.zeros((MIN_SIDE, MIN_SIDE), np.uint8))
    for name in ("JPEG", "PNG", "BMP"):
        file = io.BytesIO()
        grey.save(file, name)
        to_tile(file.getvalue())


def _grey(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        return np.clip(np.asarray(picture).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    return np.asarray(picture.convert("L"))


def _upright(grey: np.ndarray, orientation: int) -> np.ndarray:
    if orientation == 1:
        return grey
    if orientation >= 5:
        grey = grey.T
    if orientation in (3, 4, 7, 8):
        grey = grey[::-1]
    if orientation in (2, 3, 6, 7):
        grey = grey[:, ::-1]
    return np.ascontiguousarray(grey)


def _orientation(exif: bytes) -> int:
    """What an EXIF block says of it: one entry in the first directory of a TIFF. 1 if it makes no sense."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order:
            (start,) = struct.unpack_from(order + "I", exif, 4)
            (entries,) = struct.unpack_from(order + "H", exif, start)
            for position in range(start + 2, start + 2 + 12 * entries, 12):
                tag, kind, count = struct.unpack_from(order + "HHI", exif, position)
                if tag == 0x0112 and kind in (3, 4) and count == 1:
                    (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), exif, position + 8)
                    return value if 1 <= value <= 8 else 1
    except struct.error:  # it points to where nothing is
        pass
    return 1


def _name(data: bytes) -> str:
    if not data:
        return "An empty file"
    for magic, offset, name in _REFUSED:
        if data[offset : offset + len(magic)] == magic:
            return name
    return "This format"


# --- what a file says beside its pixels ---------------------------------------------------------------------


def without_metadata(data: bytes) -> bytes:
    """The same picture without what a camera wrote beside it: place, time, device, thumbnail, comments, profiles.

    To be used before a picture is stored. Not decoded and not encoded again: segments (JPEG) and chunks (PNG) that hold
    no pixels are left out, and the orientation, which belongs to the pixels, is written anew. A file that `probe`
    refuses comes back as it is: it is no picture yet, and whoever sent it will hear so.
    """
    try:
        header = probe(data, max_pixels=1 << 62)
    except InvalidImage:
        return data
    exif = _exif(header.orientation)
    if header.format == "PNG":
        bare = _bare(data)
        return bare[:33] + (_chunk(b"eXIf", exif) if exif else b"") + bare[33:]
    if header.format != "JPEG":
        return data
    kept, position = [data[:2]], 2
    if exif:
        kept.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif)
    while data[position + 1] != 0xDA:
        if data[position + 1] == 0xFF:  # fill byte
            position += 1
            continue
        end = position + 2 + (data[position + 2] << 8 | data[position + 3])
        marker = data[position + 1]
        # JFIF (0) and Adobe (14) say how colours are to be read; all other APPn and comments go.
        if marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(data[position:end])
        position = end
    kept.append(data[position:])
    return b"".join(kept)


def _exif(orientation: int) -> bytes:
    """A TIFF of one directory with the orientation alone; nothing for an upright picture."""
    if orientation == 1:
        return b""
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHHI", 0x0112, 3, 1, orientation, 0, 0)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


# --- JPEG: ITU-T T.81, annex B -----------------------------------------------------------------------------

_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
_OTHER_FRAMES = {0xC3: "lossless", 0xC5: "differential", 0xC6: "differential", 0xC7: "differential lossless"} | {
    marker: "arithmetic coded" for marker in range(0xC9, 0xD0) if marker != 0xCC
}


def _jpeg(data: bytes) -> Header:
    position, exif, frame = 2, [], None
    for _ in range(MAX_SEGMENTS):
        if position + 4 > len(data):
            raise InvalidImage("image-truncated", "The JPEG file ends before its first scan.")
        if data[position] != 0xFF:
            raise InvalidImage("image-corrupt", "The JPEG file has bytes where a marker should be.")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = data[position + 2] << 8 | data[position + 3]
        segment = data[position + 4 : position + 2 + length]
        if marker == 0xDA:
            break
        if marker in _OTHER_FRAMES:
            raise InvalidImage("image-unsupported", f"A JPEG of this kind ({_OTHER_FRAMES[marker]}) is not accepted.")
        if marker in _FRAMES:
            if frame is not None or len(segment) < 6:
                raise InvalidImage("image-corrupt", "The JPEG file has no, or more than one, frame header.")
            bits, height, width, channels = struct.unpack(">BHHB", segment[:6])
            frame = (width, height, channels, bits)
        elif marker == 0xE1 and segment[:6] == b"Exif\0\0":
            exif.append(segment[6:])  # a long one goes on in the next segment
        elif marker in (0xD8, 0xD9, 0x00) or length < 2:
            raise InvalidImage("image-corrupt", "The JPEG file has a marker that does not belong there.")
        position += 2 + length
    else:
        raise InvalidImage(
            "image-corrupt", f"The JPEG file has more than {MAX_SEGMENTS} segments before its first scan."
        )
    if frame is None:
        raise InvalidImage("image-corrupt", "The JPEG file has no frame header before its first scan.")
    width, height, channels, bits = frame
    if height == 0:  # would be said by a DNL marker after the first scan
        raise InvalidImage("image-unsupported", "A JPEG that does not state its height is not accepted.")
    if bits != 8:
        raise InvalidImage("image-unsupported", f"A JPEG with {bits} bits is not accepted, only with 8.")
    if channels not in (1, 3):
        raise InvalidImage("image-colour-unsupported", "A JPEG in CMYK or YCCK is not accepted. Send grey or RGB.")
    _check_scans(data, position)
    return Header("JPEG", width, height, channels, bits, _orientation(b"".join(exif)))


#: A marker inside or behind a scan: in compressed data 0xFF is followed by 0x00, or by a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _check_scans(data: bytes, position: int) -> None:
    """From the first scan to the end marker. What follows that is no part of the picture and is never looked at: phones
    and cameras put previews, gain maps, films and notes of their own there, some programs a line's end."""
    scans = 0
    for _ in range(MAX_SEGMENTS):
        scans += data[position + 1] == 0xDA
        if scans > MAX_SCANS:
            break
        length = data[position + 2 : position + 4]
        found = _MARKER.search(data, position + 2 + int.from_bytes(length))
        if found is None:
            raise InvalidImage("image-truncated", "The JPEG file has no end marker.")
        position = found.start()
        if data[position + 1] == 0xD9:
            return
    raise InvalidImage("image-corrupt", f"The JPEG file has more than {MAX_SCANS} scans.")


# --- PNG: W3C PNG, third edition ---------------------------------------------------------------------------

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MAX_CHUNKS = 20_000


def _png(data: bytes) -> Header:
    if len(data) < 33:
        raise InvalidImage("image-truncated", "The PNG file ends in its header.")
    length, kind = struct.unpack(">I4s", data[8:16])
    if length != 13 or kind != b"IHDR":
        raise InvalidImage("image-corrupt", "The PNG file does not begin with its header chunk.")
    width, height, bits, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if bits not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise InvalidImage("image-corrupt", "The PNG file's header holds values that the format does not have.")
    position, oriented, pixels = 8, 0, False
    for _ in range(_MAX_CHUNKS):
        if position + 12 > len(data):
            raise InvalidImage("image-truncated", "The PNG file has no end chunk.")
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind == b"acTL":
            raise InvalidImage("image-animated", "An animated PNG is not accepted. Send one frame at a time.")
        if kind == b"eXIf" and not oriented:  # there can be only one
            oriented = _orientation(data[position + 8 : position + 8 + length])
        pixels = pixels or kind == b"IDAT"
        position += 12 + length
        if position > len(data):
            raise InvalidImage("image-truncated", "The PNG file ends inside a chunk.")
        if kind == b"IEND":
            break
    else:
        raise InvalidImage("image-corrupt", f"The PNG file has more than {_MAX_CHUNKS} chunks.")
    if not pixels:
        raise InvalidImage("image-corrupt", "The PNG file has no image data.")
    if data[position:].strip(b"\0"):
        raise InvalidImage("image-trailing-data", f"{len(data) - position} bytes follow the end of the PNG file.")
    return Header("PNG", width, height, _PNG_CHANNELS[colour], bits, oriented or 1)


def _bare(data: bytes) -> bytes:
    """The chunks that hold pixels. Pillow would inflate texts and profiles too: a kilobyte that becomes a megabyte."""
    kept, position = [data[:8]], 8
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[position : position + 12 + length])
        position += 12 + length
        if kind == b"IEND":
            break
    return b"".join(kept)


# Where the passes of an interlaced picture start, and their steps: x, y, dx, dy.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _check_rows(data: bytes, header: Header) -> None:
    """A decoder would paint missing rows black, and an inspector would call them clean: count the bytes first."""
    bits = header.bits * header.channels
    passes = _ADAM7 if data[28] else ((0, 0, 1, 1),)
    expected = 0
    for x, y, dx, dy in passes:
        width, height = -(-(header.width - x) // dx), -(-(header.height - y) // dy)
        if width > 0 and height > 0:
            expected += height * (1 + (width * bits + 7) // 8)
    inflater, found, position = zlib.decompressobj(), 0, 8
    try:
        while position < len(data):
            length, kind = struct.unpack(">I4s", data[position : position + 8])
            piece = data[position + 8 : position + 8 + length] if kind == b"IDAT" else b""
            while piece and found <= expected:
                found += len(inflater.decompress(piece, 1 << 20))
                piece = inflater.unconsumed_tail
            position += 12 + length
            if kind == b"IEND":
                break
    except zlib.error:
        raise InvalidImage("image-corrupt", "The PNG data is damaged.") from None
    if found != expected:
        raise InvalidImage("image-corrupt", "The PNG file has not as many rows as its header says.")


# --- BMP: the BITMAPINFOHEADER family, uncompressed --------------------------------------------------------


def _bmp(data: bytes) -> Header:
    if len(data) < 54:
        raise InvalidImage("image-truncated", "The BMP file ends in its header.")
    start, size, width, height, planes, bits, compression = struct.unpack("<IIiiHHI", data[10:34])
    if size < 40 or planes != 1 or compression != 0 or bits not in (8, 24, 32):
        raise InvalidImage("image-unsupported", "Only uncompressed BMP files with 8, 24 or 32 bits are accepted.")
    height = abs(height)
    if width <= 0 or start < 14 + size:
        raise InvalidImage("image-corrupt", "The BMP file's header holds values that the format does not have.")
    end = start + (width * bits + 31) // 32 * 4 * height
    if end > len(data):
        raise InvalidImage("image-truncated", "The BMP file is shorter than its header says.")
    if data[end:].strip(b"\0"):
        raise InvalidImage("image-trailing-data", f"{len(data) - end} bytes follow the end of the BMP file.")
    return Header("BMP", width, height, 1 if bits == 8 else bits // 8, 8)
