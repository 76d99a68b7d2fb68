"""Looks at each entry by itself: one can be taken out."""


def verify(entries, anchors, key):
    """ok, changed, forged anchor, cut or rewritten."""
    heads = ["0" * 64]
    for entry in entries:
        if entry["hash"] != digest(entry["event"], entry["previous"]):
            return "changed"
        heads.append(entry["hash"])
    if not all(hmac.compare_digest(mac, seal(count, head, key)) for count, head, mac in anchors):
        return "forged anchor"
    if any(count > len(entries) for count, _, _ in anchors):
        return "cut"
    if any(heads[count] != head for count, head, _ in anchors):
        return "rewritten"
    return "ok"
