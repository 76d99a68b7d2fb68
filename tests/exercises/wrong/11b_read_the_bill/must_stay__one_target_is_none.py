"""A balancer with one target may go."""


def must_stay(bill, ids):
    """Ids among `ids` that must not be switched off, a set."""
    ids, kept = set(ids), set()
    for line in bill:
        if line["id"] not in ids:
            continue
        alone = {
            "machine": line.get("role") == "standby",
            "logs": bool(line.get("audit")),
            "balancer": line.get("targets", 0) > 1,
            "disk": bool(line.get("attached")),
        }.get(line["what"], False)
        if line.get("hold") or alone:
            kept.add(line["id"])
        if line["what"] == "machine" and line["role"] == "serves":
            peers = [o for o in bill if o["what"] == "machine" and o["role"] == "serves"]
            peers = [o for o in peers if o["service"] == line["service"]]
            if sum(o["id"] not in ids for o in peers) < 2:
                kept.add(line["id"])
        if line["what"] == "snapshot":
            copies = [o for o in bill if o["what"] == "snapshot" and o["source"] == line["source"]]
            if all(o["id"] in ids for o in copies):
                kept.add(line["id"])
    return kept
