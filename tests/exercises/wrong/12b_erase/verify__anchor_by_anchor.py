"""Judges anchor by anchor, not fault by fault."""

import hmac


def verify(entries, anchors, key):
    h = ["0" * 64]
    for e in entries:
        if e["previous"] != h[-1] or e["hash"] != digest(e["event"], e["previous"]):
            return "changed"
        h.append(e["hash"])
    for n, x, m in anchors:
        if not hmac.compare_digest(m, seal(n, x, key)):
            return "forged anchor"
        if n > len(entries):
            return "cut"
        if h[n] != x:
            return "rewritten"
    return "ok"
