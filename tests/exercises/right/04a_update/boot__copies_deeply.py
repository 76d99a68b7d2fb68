"""Works on a deep copy."""

import copy

MAX_STARTS = 3


def boot(state):
    after = copy.deepcopy(state)
    if after["starts"] is not None:
        if after["starts"] >= MAX_STARTS and after["previous"]:
            after["refused"].append(after["versions"][after["active"]])
            after.update(active=after["previous"], previous=None, starts=None)
        else:
            after["starts"] += 1
    return after
