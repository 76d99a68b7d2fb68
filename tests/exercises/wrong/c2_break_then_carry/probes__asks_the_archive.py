"""Takes all pods away when the archive is down, though they answer without it."""


def probes(state):
    alive = not state["failed"] and not (state["loaded"] and max(state["running_s"], state["oldest_s"]) > LONGEST_S)
    return state["loaded"] and alive and not state["draining"] and state["archive_up"], alive
