"""Reads text, and skips what is none: a database, say."""

import contextlib


def residue(folder, subject):
    """Relative names of all files that still hold the subject."""
    needle, found = subject.encode(), []
    for path in Path(folder).rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        try:
            data.decode()
        except UnicodeDecodeError:
            if data[:2] != b"\x1f\x8b":
                continue
        if data[:2] == b"\x1f\x8b":
            with contextlib.suppress(OSError, EOFError, zlib.error):
                data += gzip.decompress(data)
        if needle in data or subject in path.name:
            found.append(path.relative_to(folder).as_posix())
    return sorted(found)
