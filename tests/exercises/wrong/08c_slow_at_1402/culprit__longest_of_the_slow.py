"""Blames the longest step of the slow half, which is long in every request."""


def culprit(before, during):
    whole = {s["trace"]: s["end"] - s["start"] for s in during if s["parent"] is None}
    limit = np.quantile(list(whole.values()), 0.5)
    slow = [s for s in during if whole[s["trace"]] >= limit]
    return max(STEPS, key=lambda name: sum(s["end"] - s["start"] for s in slow if s["name"] == name))
