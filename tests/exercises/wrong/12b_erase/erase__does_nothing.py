"""Nothing is erased."""


def erase(lines, subject):
    return list(lines)
