"""Says neither ready nor alive whatever happens."""


def probes(state):
    return False, False
