def causes(log, cores):
    return set(CAUSES)
