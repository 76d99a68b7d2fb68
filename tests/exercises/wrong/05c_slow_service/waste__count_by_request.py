"""Leaves out what every other request opens."""


def waste(log):
    out = {"session": 0.0, "decode": 0.0, "lock": 0.0}
    seen = set()
    for e in sorted(log, key=lambda e: e["start"]):
        ms = e["end"] - e["start"]
        if e["op"] == "open" and "request" in e:
            if e["request"] % 2 == 0 or not out["session"]:
                out["session"] += ms
        elif e["op"] == "wait":
            out["lock"] += ms
        elif e["op"] == "decode":
            k = e["request"], e["image"]
            if k in seen:
                out["decode"] += ms
            seen.add(k)
    return out
