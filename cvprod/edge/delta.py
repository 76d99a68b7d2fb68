"""Binary deltas between two versions of a model file, small enough to read and to write again in Kotlin or Swift.

A retrained network is the old one, every weight a little changed. A general patcher (bsdiff, zstd with the old file as
dictionary) looks for *equal* bytes and finds few. So we subtract, which pays where every weight lies where it lay
before; a second conversion does not promise that, and `layout.keep` sees to it:

1. read both files as little-endian unsigned words of `stride` bytes (1 for INT8 weights, 2 for float16, 4 for
   float32), the old one cut or padded with zeros to the length of the new one;
2. new - old, modulo 2**(8 * stride), mapped to small unsigned numbers by the zigzag rule 0, -1, 1, -2 -> 0, 1, 2, 3;
3. all first bytes, then all second bytes, ... (byte planes: the high ones are nearly all zero);
4. raw DEFLATE (RFC 1951), which every platform can undo: zlib, java.util.zip.Inflater, Apple's Compression.

Zigzag and planes are the tricks of Protocol Buffers and of the HDF5/Blosc shuffle filter. A delta carries no
checksum of its own: the manifest holds the new file's SHA-256, which is checked after patching.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

ALGORITHM = "subtract-zigzag-planes-deflate"
STRIDES = (1, 2, 4)


class DeltaError(ValueError):
    """A delta is damaged, or belongs to another file."""


@dataclass(frozen=True)
class Delta:
    """The patch from one file to another: raw DEFLATE bytes, the word length, and the new file's size in bytes."""

    data: bytes
    stride: int
    size: int


def make(old: bytes, new: bytes) -> Delta:
    """The smallest delta over all word lengths. It may be larger than `new`: the caller compares."""
    return min((_make(old, new, stride) for stride in STRIDES), key=lambda delta: len(delta.data))


def _make(old: bytes, new: bytes, stride: int) -> Delta:
    before, after = _words(old, len(new), stride), _words(new, len(new), stride)
    difference = after - before  # unsigned arithmetic wraps, as intended
    sign = np.where(difference >> (8 * stride - 1), ~difference.dtype.type(0), difference.dtype.type(0))
    zigzag = (difference << 1) ^ sign
    planes = zigzag.view(np.uint8).reshape(-1, stride).T.tobytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return Delta(packer.compress(planes) + packer.flush(), stride, len(new))


def apply(old: bytes, delta: Delta) -> bytes:
    """The new file. Raises DeltaError for a delta that is cut short, too long or not DEFLATE."""
    if delta.stride not in STRIDES or delta.size < 0:
        raise DeltaError(f"a delta has stride 1, 2 or 4 and a size of at least 0, not {delta.stride} and {delta.size}")
    padded = -(-delta.size // delta.stride) * delta.stride
    opener = zlib.decompressobj(-15)
    try:
        planes = opener.decompress(delta.data, padded + 1)  # never unpacks more than the manifest promised
    except zlib.error as error:
        raise DeltaError(f"the delta is no DEFLATE stream ({error})") from error
    if len(planes) != padded or not opener.eof or opener.unused_data:
        raise DeltaError(f"the delta unpacks to {len(planes)} bytes, not to the {padded} that it should")
    words = np.frombuffer(planes, np.uint8).reshape(delta.stride, -1).T.copy().view(f"<u{delta.stride}").ravel()
    one = words.dtype.type(1)
    difference = (words >> one) ^ np.where(words & one, ~words.dtype.type(0), words.dtype.type(0))
    return (_words(old, delta.size, delta.stride) + difference).tobytes()[: delta.size]


def _words(data: bytes, size: int, stride: int) -> np.ndarray:
    """`data`, cut or zero-padded to `size` rounded up to whole words, as unsigned integers."""
    padded = -(-size // stride) * stride
    return np.frombuffer(data[:size].ljust(padded, b"\0"), f"<u{stride}")
