"""Counts the names of threads in place of those that run at once."""


def causes(log, cores):
    found = set()
    if sum(e["op"] == "open" for e in log) > 9:
        found.add("session")
    if max(Counter((e["request"], e["image"]) for e in log if e["op"] == "decode").values()) > 1:
        found.add("decode")
    work = [e for e in log if e["op"] in ("decode", "infer")]
    if any(e["thread"] == "loop" for e in work):
        found.add("loop")
    names = {e["thread"] for e in work}
    if len(names) > cores:
        found.add("threads")
    if any(e["op"] == "hold" and e["lock"] == "model" for e in log):
        found.add("lock")
    return found
