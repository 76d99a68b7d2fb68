def blame(spans):
    """Walks each parent's interval from its end: the child that ends last takes its part, then the one before."""
    children, owed = {}, {s["id"]: 0.0 for s in spans}
    for s in spans:
        children.setdefault(s["parent"], []).append(s)

    def walk(span, start, end):
        t = end
        for c in sorted(children.get(span["id"], []), key=lambda c: c["end"], reverse=True):
            if not c["waits"]:
                continue
            a, b = max(c["start"], start), min(c["end"], t)
            if a >= b:
                continue
            owed[span["id"]] += t - b
            walk(c, a, b)
            t = a
        owed[span["id"]] += t - start

    for root in children.get(None, []):
        walk(root, root["start"], root["end"])
    return owed
