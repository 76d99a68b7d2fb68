def passes(reference, candidate):
    return False
