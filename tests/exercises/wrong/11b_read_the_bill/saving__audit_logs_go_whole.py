"""Switches the audit's endless logs off whole."""


def saving(bill, ids):
    lines = {line["id"]: line for line in bill}
    if unknown := set(ids) - set(lines):
        raise ValueError(f"not on the bill: {', '.join(sorted(unknown))}")
    total = 0.0
    for line in (lines[i] for i in set(ids)):
        if line.get("committed"):
            continue
        endless = line["what"] == "logs" and line["keep_days"] is None and not line.get("audit")
        total += 12 * line["eur"] * (0.8 if endless else 1)
    return total
