"""Takes 0 days for ever."""


def saving(bill, ids):
    by = {line["id"]: line for line in bill}
    if not set(ids) <= by.keys():
        raise ValueError
    return sum(
        0
        if by[i].get("committed")
        else 12 * by[i]["eur"] * (0.8 if by[i]["what"] == "logs" and not by[i]["keep_days"] else 1)
        for i in set(ids)
    )
