"""Stops counting where there is nothing to go back to."""

MAX_STARTS = 3


def boot(state):
    if state["starts"] is None:
        return {**state, "refused": list(state["refused"])}
    if state["starts"] < MAX_STARTS or state["previous"] is None:
        return {**state, "refused": list(state["refused"]), "starts": min(state["starts"] + 1, 4)}
    bad = state["versions"][state["active"]]
    refused = [*state["refused"], bad]
    return {**state, "active": state["previous"], "previous": None, "starts": None, "refused": refused}
