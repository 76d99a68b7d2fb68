def probes(state):
    return False, False
