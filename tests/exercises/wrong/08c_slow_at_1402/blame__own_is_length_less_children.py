"""Subtracts the children's lengths, which overlap."""


def blame(spans):
    owed = {s["id"]: s["end"] - s["start"] for s in spans}
    for s in spans:
        if s["parent"] is not None:
            owed[s["parent"]] -= s["end"] - s["start"]
    return owed
