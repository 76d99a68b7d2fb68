"""Takes a long first run, while the model loads, for a hanging one."""


def probes(state):
    alive = max(state["running_s"], state["oldest_s"]) <= LONGEST_S and state["failed"] is None
    return state["loaded"] and alive and not state["draining"], alive
