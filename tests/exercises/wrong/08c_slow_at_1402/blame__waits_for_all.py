"""Blames what was started and forgotten."""


def blame(spans):
    owed = dict.fromkeys((s["id"] for s in spans), 0.0)

    def deal(span, start, end):
        inside = [c for c in spans if c["parent"] == span["id"]]
        cuts = sorted({start, end, *(t for c in inside for t in (c["start"], c["end"]) if start < t < end)})
        for a, b in pairwise(cuts):
            running = [c for c in inside if c["start"] <= a and c["end"] >= b]
            if running:
                deal(max(running, key=lambda c: c["end"]), a, b)
            else:
                owed[span["id"]] += b - a

    for s in spans:
        if s["parent"] is None:
            deal(s, s["start"], s["end"])
    return owed
