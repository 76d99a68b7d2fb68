"""Logs do not go away, they get shorter."""


def saving(bill, ids):
    """EUR a year."""
    lines = {line["id"]: line for line in bill}
    if unknown := set(ids) - set(lines):
        raise ValueError(f"not on the bill: {', '.join(sorted(unknown))}")
    total = 0.0
    for line in (lines[i] for i in set(ids)):
        if line.get("committed"):
            continue
        total += 12 * line["eur"] * 1
    return total
