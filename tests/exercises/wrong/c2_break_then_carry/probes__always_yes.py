def probes(state):
    return True, True
