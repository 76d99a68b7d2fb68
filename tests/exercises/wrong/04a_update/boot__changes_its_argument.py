"""Changes the state in place: if the write fails, memory and disk disagree."""

MAX_STARTS = 3


def boot(state):
    if state["starts"] is None:
        return state
    if state["starts"] >= MAX_STARTS and state["previous"]:
        state["refused"].append(state["versions"][state["active"]])
        state.update(active=state["previous"], previous=None, starts=None)
    else:
        state["starts"] += 1
    return state
