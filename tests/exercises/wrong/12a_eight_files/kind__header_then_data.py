"""Wants data behind every header."""


def kind(data):
    """What these bytes are: safetensors, npy, pickle or unknown."""
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if data[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                return "pickle" if any(name.endswith(".pkl") for name in packed.namelist()) else "unknown"
        except (zipfile.BadZipFile, OSError, ValueError):
            return "unknown"
    if data[:6] == b"\x93NUMPY":
        wide = 2 if data[6:7] == b"\x01" else 4
        if len(data) < 8 + wide:
            return "unknown"
        length = int.from_bytes(data[8 : 8 + wide], "little")
        header = data[8 + wide : 8 + wide + length]
        if len(header) < length or b"'descr'" not in header:
            return "unknown"
        return "pickle" if b"|O" in header else "npy"
    if len(data) >= 8:
        length = struct.unpack("<Q", data[:8])[0]
        if length < len(data) - 8:
            try:
                header = json.loads(data[8 : 8 + length])
                ends = [e["data_offsets"][1] for n, e in header.items() if n != "__metadata__"]
            except (ValueError, AttributeError, KeyError, TypeError, IndexError):
                return "unknown"
            if all(type(end) is int and 8 + length + end <= len(data) for end in ends):
                return "safetensors"
    return "unknown"
