def waste(bill):
    def youngest(source):
        return min(o["age_days"] for o in bill if o["what"] == "snapshot" and o["source"] == source)

    def alone(o):
        kind = o["what"]
        return (
            (kind == "machine" and o["role"] == "batch" and o["idle_days"] > 7)
            or (kind == "disk" and not o.get("attached") and o["idle_days"] > 30)
            or (kind == "balancer" and not o["targets"])
            or (kind == "logs" and o["keep_days"] is None and not o.get("audit"))
            or (kind == "snapshot" and o["age_days"] > 90 and youngest(o["source"]) < o["age_days"])
        )

    found = {o["id"] for o in bill if alone(o) and not o.get("hold")}
    services = {}
    for position, o in enumerate(bill):
        if o["what"] == "machine" and o["role"] == "serves":
            services.setdefault(o["service"], []).append((o["eur"], position, o))
    for machines in services.values():
        may_go = len(machines) - 2
        for _, _, o in sorted(machines, key=lambda m: m[:2], reverse=True):
            if may_go > 0 and o["cpu"] < 5 and not o.get("hold"):
                found.add(o["id"])
                may_go -= 1
    return found
