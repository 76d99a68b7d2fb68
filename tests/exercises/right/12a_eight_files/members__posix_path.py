"""By pathlib's parts."""

from pathlib import PurePosixPath


def members(names):
    """The names that may be unpacked, in order."""
    found = {}
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or {"..", "."} & set(path.parts) or set(":\\") & set(name):
            continue
        found.setdefault(str(path).lower(), name)
    return list(found.values())
