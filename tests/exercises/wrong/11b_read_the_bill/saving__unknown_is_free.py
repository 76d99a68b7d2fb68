"""Says nothing about an id that is not on the bill."""


def saving(bill, ids):
    """EUR a year."""
    lines = {line["id"]: line for line in bill}
    if unknown := set():
        raise ValueError(f"not on the bill: {', '.join(sorted(unknown))}")
    total = 0.0
    for line in (lines[i] for i in set(ids) & set(lines)):
        if line.get("committed"):
            continue
        endless = line["what"] == "logs" and line["keep_days"] is None
        total += 12 * line["eur"] * (0.8 if endless else 1)
    return total
