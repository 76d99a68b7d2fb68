def causes(log, cores):
    return set()
