"""Says ready while it drains."""


def probes(state):
    alive = not state["failed"] and not (state["loaded"] and max(state["running_s"], state["oldest_s"]) > LONGEST_S)
    return state["loaded"] and alive, alive
