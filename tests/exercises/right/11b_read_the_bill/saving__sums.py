def saving(bill, ids):
    known = {o["id"] for o in bill}
    if not set(ids) <= known:
        raise ValueError("not on the bill")
    return sum(
        12 * o["eur"] * (0.8 if o["what"] == "logs" and o["keep_days"] is None else 1.0)
        for o in bill
        if o["id"] in ids and not o.get("committed")
    )
