"""Takes a long queue for death, and restarts a pod when it is needed most."""


def probes(state):
    alive = (
        state["waiting"] < 60
        and state["failed"] is None
        and max(state["running_s"] * state["loaded"], state["oldest_s"]) <= LONGEST_S
    )
    return state["loaded"] and alive and not state["draining"], alive
