"""Refuses a version once."""

import copy

MAX_STARTS = 3


def boot(state):
    new = copy.deepcopy(state)
    if new["starts"] is None:
        return new
    if new["starts"] >= MAX_STARTS and new["previous"] is not None:
        bad = new["versions"][new["active"]]
        if bad not in new["refused"]:
            new["refused"].append(bad)
        new.update(active=new["previous"], previous=None, starts=None)
    else:
        new["starts"] += 1
    return new
