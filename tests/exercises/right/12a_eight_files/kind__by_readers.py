"""A reader for each format; the first that knows the bytes decides."""


def kind(data):
    def pickled():
        return "pickle" if len(data) > 1 and data[0] == 128 and 2 <= data[1] <= 5 else None

    def zipped():
        if not data.startswith(b"PK\x03\x04"):
            return None
        try:
            names = zipfile.ZipFile(io.BytesIO(data)).namelist()
        except Exception:
            return "unknown"
        return "pickle" if [n for n in names if n[-4:] == ".pkl"] else "unknown"

    def array():
        if not data.startswith(b"\x93NUMPY") or len(data) < 8:
            return None
        start = 10 if data[6] == 1 else 12
        size = int.from_bytes(data[8:start], "little")
        text = data[start : start + size].decode("latin-1")
        if len(data) < start or len(text) < size or "'descr'" not in text:
            return "unknown"
        return "pickle" if "|O" in text else "npy"

    def tensors():
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or 8 + size > len(data):
            return None
        try:
            header = json.loads(data[8 : 8 + size])
            header.pop("__metadata__", None)
            last = max([0, *(entry["data_offsets"][1] for entry in header.values())])
        except Exception:
            return None
        return "safetensors" if last <= len(data) - 8 - size else None

    return pickled() or zipped() or array() or tensors() or "unknown"
