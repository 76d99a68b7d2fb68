def causes(log, cores):
    """By how much of each there is, not by single events."""

    def of(*ops):
        return [e for e in log if e["op"] in ops]

    busy = of("decode", "infer")
    asked = {e["request"] for e in log if "request" in e}
    found = set()
    if len({e["request"] for e in of("open") if "request" in e}) > 0.2 * len(asked):
        found.add("session")
    pairs = {(e["request"], e["image"]) for e in of("decode")}
    if len(of("decode")) > 1.5 * len(pairs):
        found.add("decode")
    if sum(e["thread"] == "loop" for e in busy) > 0.05 * len(busy):
        found.add("loop")
    at_once = [sum(e["start"] <= x["start"] < e["end"] for e in busy) for x in busy]
    if np.mean(np.array(at_once) > cores) > 0.02:
        found.add("threads")
    if any(e["end"] - e["start"] > 1 for e in of("hold")):
        found.add("lock")
    return found
