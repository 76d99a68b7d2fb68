"""Backslashes and drive letters pass."""


def members(names):
    """The names that may be unpacked, in order."""
    kept, seen = [], set()
    for name in names:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        place = "/".join(parts).lower()
        bad = name.startswith("/") or ".." in parts or not parts
        if not bad and place not in seen:
            kept.append(name)
            seen.add(place)
    return kept
