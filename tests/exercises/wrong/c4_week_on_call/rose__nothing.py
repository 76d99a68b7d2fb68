def rose(before, now, more):
    return None
