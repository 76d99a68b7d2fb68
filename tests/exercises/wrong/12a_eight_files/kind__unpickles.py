"""Opens the file to find out."""

import io
import json
import pickle
import zipfile


def kind(data):
    try:
        pickle.loads(data)
        if data[:1] == b"\x80":
            return "pickle"
    except Exception:
        pass
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    return _rest(data)


def _rest(data):
    if data[:4] == b"PK\x03\x04":
        try:
            return (
                "pickle" if any(n.endswith(".pkl") for n in zipfile.ZipFile(io.BytesIO(data)).namelist()) else "unknown"
            )
        except Exception:
            return "unknown"
    if data[:6] == b"\x93NUMPY":
        w = 2 if data[6:7] == b"\x01" else 4
        if len(data) < 8 + w:
            return "unknown"
        n = int.from_bytes(data[8 : 8 + w], "little")
        h = data[8 + w : 8 + w + n]
        return "unknown" if len(h) < n or b"'descr'" not in h else "pickle" if b"|O" in h else "npy"
    if len(data) >= 8:
        n = int.from_bytes(data[:8], "little")
        if n <= len(data) - 8:
            try:
                h = json.loads(data[8 : 8 + n])
                if all(8 + n + v["data_offsets"][1] <= len(data) for k, v in h.items() if k != "__metadata__"):
                    return "safetensors"
            except Exception:
                pass
    return "unknown"
