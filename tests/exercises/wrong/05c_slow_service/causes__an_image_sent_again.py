"""Takes an image that a camera sends again for one decoded twice."""


def causes(log, cores):
    found = set()
    if sum(e["op"] == "open" for e in log) > 9:
        found.add("session")
    if len({e["image"] for e in log if e["op"] == "decode"}) < sum(e["op"] == "decode" for e in log):
        found.add("decode")
    work = [e for e in log if e["op"] in ("decode", "infer")]
    if any(e["thread"] == "loop" for e in work):
        found.add("loop")
    steps = sorted([(e["start"], 1) for e in work] + [(e["end"], -1) for e in work])
    if max(np.cumsum([step for _, step in steps])) > cores:
        found.add("threads")
    if any(e["op"] == "hold" and e["lock"] == "model" for e in log):
        found.add("lock")
    return found
