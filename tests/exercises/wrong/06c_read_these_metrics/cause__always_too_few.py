def cause(m):
    return "too few"
