"""Believes every anchor."""


def verify(entries, anchors, key):
    """ok, changed, forged anchor, cut or rewritten."""
    heads = ["0" * 64]
    for entry in entries:
        if entry["previous"] != heads[-1] or entry["hash"] != digest(entry["event"], entry["previous"]):
            return "changed"
        heads.append(entry["hash"])
    if any(count > len(entries) for count, _, _ in anchors):
        return "cut"
    if any(heads[count] != head for count, head, _ in anchors):
        return "rewritten"
    return "ok"
