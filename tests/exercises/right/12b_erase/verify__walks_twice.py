"""Anchors in a dict, the chain by zip."""


def verify(entries, anchors, key):
    """ok, changed, forged anchor, cut or rewritten."""
    hashes = ["0" * 64] + [entry["hash"] for entry in entries]
    for entry, before in zip(entries, hashes, strict=False):
        if (entry["previous"], entry["hash"]) != (before, digest(entry["event"], before)):
            return "changed"
    said = "ok"
    for count, head, mac in anchors:
        if not hmac.compare_digest(seal(count, head, key), mac):
            return "forged anchor"
        if count >= len(hashes):
            said = "cut"
        elif hashes[count] != head and said == "ok":
            said = "rewritten"
    return said
