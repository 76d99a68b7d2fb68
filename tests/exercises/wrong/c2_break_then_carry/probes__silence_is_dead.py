"""Takes an hour without requests for death."""


def probes(state):
    alive = not state["failed"] and not (state["loaded"] and state["silent_s"] > LONGEST_S)
    return state["loaded"] and alive and not state["draining"], alive
