"""Two names that Windows and macOS take for one file."""


def members(names):
    """The names that may be unpacked, in order."""
    kept, seen = [], set()
    for name in names:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        place = "/".join(parts)
        bad = name.startswith("/") or ".." in parts or "\\" in name or ":" in name or not parts
        if not bad and place not in seen:
            kept.append(name)
            seen.add(place)
    return kept
