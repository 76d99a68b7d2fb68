"""Forgets old refusals when there are many."""

MAX_STARTS = 3


def boot(state):
    if state["starts"] is None:
        return {**state, "refused": list(state["refused"])}
    if state["starts"] < MAX_STARTS or state["previous"] is None:
        return {**state, "refused": list(state["refused"]), "starts": state["starts"] + 1}
    bad = state["versions"][state["active"]]
    refused = [*state["refused"], bad]
    return {
        **state,
        "active": state["previous"],
        "previous": None,
        "starts": None,
        "refused": refused[-1:] if len(refused) > 3 else refused,
    }
