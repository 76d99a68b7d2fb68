def waste(log):
    groups, opened, waited = {}, 0.0, 0.0
    for e in log:
        ms = e["end"] - e["start"]
        opened += ms if e["op"] == "open" and e.get("request") is not None else 0.0
        waited += ms if e["op"] == "wait" else 0.0
        if e["op"] == "decode":
            groups.setdefault((e["request"], e["image"]), []).append((e["start"], ms))
    twice = sum(ms for group in groups.values() for _, ms in sorted(group)[1:])
    return {"lock": waited, "session": opened, "decode": twice}
