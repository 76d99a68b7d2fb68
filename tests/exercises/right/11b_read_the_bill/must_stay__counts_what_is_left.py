def must_stay(bill, ids):
    left = [o for o in bill if o["id"] not in set(ids)]
    serving = [o["service"] for o in left if o["what"] == "machine" and o["role"] == "serves"]
    sources = {o["source"] for o in left if o["what"] == "snapshot"}
    reasons = {
        "machine": lambda o: o["role"] == "standby" or (o["role"] == "serves" and serving.count(o["service"]) < 2),
        "snapshot": lambda o: o["source"] not in sources,
        "balancer": lambda o: o["targets"] > 0,
        "disk": lambda o: o["attached"],
        "logs": lambda o: o["audit"],
    }
    return {o["id"] for o in bill if o["id"] in set(ids) and (o.get("hold") or reasons[o["what"]](o))}
