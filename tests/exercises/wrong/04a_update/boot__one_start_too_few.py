"""Counts first and compares then: the model gets two starts, not three."""

MAX_STARTS = 3


def boot(state):
    after = {**state, "refused": list(state["refused"])}
    if after["starts"] is None:
        return after
    after["starts"] += 1
    if after["starts"] >= MAX_STARTS and after["previous"] is not None:
        after["refused"].append(after["versions"][after["active"]])
        after.update(active=after["previous"], previous=None, starts=None)
    return after
