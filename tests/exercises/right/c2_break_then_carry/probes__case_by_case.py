def probes(state):
    if state["failed"]:
        return False, False
    if not state["loaded"]:
        return False, True
    if (state["waiting"] and state["oldest_s"] >= 1.5 * LONGEST_S) or state["running_s"] >= 1.5 * LONGEST_S:
        return False, False
    return not state["draining"], True
