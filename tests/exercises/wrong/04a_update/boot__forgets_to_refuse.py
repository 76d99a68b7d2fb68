"""Goes back, and tomorrow installs the same bad version again: passes the tests that a student sees."""

MAX_STARTS = 3


def boot(state):
    if state["starts"] is None:
        return dict(state)
    if state["starts"] < MAX_STARTS or state["previous"] is None:
        return {**state, "starts": state["starts"] + 1}
    return {**state, "active": state["previous"], "previous": None, "starts": None}
