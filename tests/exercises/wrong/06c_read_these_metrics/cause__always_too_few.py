"""Always asks for more replicas."""


def cause(m):
    return "too few"
