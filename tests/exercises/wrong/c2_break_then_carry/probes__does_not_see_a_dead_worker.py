"""Looks at the run alone, and there is none when the worker is gone."""


def probes(state):
    alive = not state["failed"] and not (state["loaded"] and state["running_s"] > LONGEST_S)
    return state["loaded"] and alive and not state["draining"], alive
