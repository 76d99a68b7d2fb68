def cause(m):
    return "nothing"
