"""Finds the anchor's hash anywhere in the log."""


def verify(entries, anchors, key):
    heads = ["0" * 64]
    for entry in entries:
        if entry["previous"] != heads[-1] or entry["hash"] != digest(entry["event"], entry["previous"]):
            return "changed"
        heads.append(entry["hash"])
    if not all(hmac.compare_digest(mac, seal(count, head, key)) for count, head, mac in anchors):
        return "forged anchor"
    if any(count > len(entries) for count, _, _ in anchors):
        return "cut"
    if any(head not in heads for count, head, _ in anchors):
        return "rewritten"
    return "ok"
