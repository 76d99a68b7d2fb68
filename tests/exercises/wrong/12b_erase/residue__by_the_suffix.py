"""Believes the name of the file about its format."""

import contextlib


def residue(folder, subject):
    """Relative names of all files that still hold the subject."""
    needle, found = subject.encode(), []
    for path in Path(folder).rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if path.suffix == ".gz":
            with contextlib.suppress(OSError, EOFError, zlib.error):
                data += gzip.decompress(data)
        if needle in data or subject in path.name:
            found.append(path.relative_to(folder).as_posix())
    return sorted(found)
