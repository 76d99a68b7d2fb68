"""A list, not a set."""

from collections import Counter


def causes(log, cores):
    found = []
    reqs = {e["request"] for e in log if "request" in e}
    if sum(e["op"] == "open" for e in log) > len(reqs) / 2:
        found.append("session")
    if max(Counter((e["request"], e["image"]) for e in log if e["op"] == "decode").values()) > 1:
        found.append("decode")
    work = [e for e in log if e["op"] in ("decode", "infer")]
    if any(e["thread"] == "loop" for e in work):
        found.append("loop")
    steps = sorted([(e["start"], 1) for e in work] + [(e["end"], -1) for e in work])
    if max(np.cumsum([s for _, s in steps])) > cores:
        found.append("threads")
    if sum(e["end"] - e["start"] for e in log if e["op"] == "wait") > 0.1 * sum(
        e["end"] - e["start"] for e in log if e["op"] == "infer"
    ):
        found.append("lock")
    return found
