"""Ninety days are older than ninety."""


def waste(bill):
    """Ids of the lines that nobody needs, a set."""
    found = set()
    free = [line for line in bill if not line.get("hold")]
    for line in free:
        what = line["what"]
        if what == "machine" and line["role"] == "batch" and line["idle_days"] > 7:
            found.add(line["id"])
        if what == "disk" and not line["attached"] and line["idle_days"] > 30:
            found.add(line["id"])
        if what == "balancer" and line["targets"] == 0:
            found.add(line["id"])
        if what == "logs" and line["keep_days"] is None and not line["audit"]:
            found.add(line["id"])
        if what == "snapshot" and line["age_days"] >= 90:
            others = [o for o in bill if o["what"] == "snapshot" and o["source"] == line["source"]]
            if any(o["age_days"] < line["age_days"] for o in others):
                found.add(line["id"])
    serving = [line for line in bill if line["what"] == "machine" and line["role"] == "serves"]
    for service in {line["service"] for line in serving}:
        ours = [line for line in serving if line["service"] == service]
        idle = [line for line in ours if line["cpu"] < 5 and not line.get("hold")]
        idle.sort(key=lambda line: (line["eur"], bill.index(line)), reverse=True)
        found |= {line["id"] for line in idle[: max(0, len(ours) - 2)]}
    return found
