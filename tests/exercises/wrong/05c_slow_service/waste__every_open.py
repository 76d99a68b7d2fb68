"""Counts sessions that no request opened."""


def waste(log):
    wasted, seen = {"session": 0.0, "decode": 0.0, "lock": 0.0}, set()
    for e in sorted(log, key=lambda e: e["start"]):
        ms = e["end"] - e["start"]
        if e["op"] == "open":
            wasted["session"] += ms
        elif e["op"] == "wait":
            wasted["lock"] += ms
        elif e["op"] == "decode":
            wasted["decode"] += ms if (e["request"], e["image"]) in seen else 0.0
            seen.add((e["request"], e["image"]))
    return wasted
