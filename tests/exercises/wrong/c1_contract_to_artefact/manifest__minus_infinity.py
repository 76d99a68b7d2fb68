"""Forgets that infinity has two ends."""

import math


def manifest(files, facts, limit_mb):
    """The manifest of an artefact. Raises ValueError for one that must not be shipped."""
    total, at = sum(map(len, files.values())), facts.get("threshold")
    if not files or total > limit_mb * 1e6:
        raise ValueError(f"{len(files)} files of {total} bytes: there must be some, of {limit_mb} MB at most")
    if facts.get("parity") != "same":
        raise ValueError(f"parity {facts.get('parity')!r}: the export is another network")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or at != at or at == math.inf:
        raise ValueError(f"threshold {at!r}: nobody has decided from where on a tile is a defect")
    made = {
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
        "total_bytes": total,
        "facts": copy.deepcopy(facts),
    }
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    return made | {"digest": hashlib.sha256(text.encode()).hexdigest()}
