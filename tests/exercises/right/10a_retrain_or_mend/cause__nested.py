"""Goes down a tree of questions."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    if labels == 0:
        return "light" if drift > 1 else "nothing"
    deviation = (errors - 0.04) / (0.04 * 0.96 / labels) ** 0.5
    if drift > 1:
        return "steel" if deviation > 2 else "light"
    return "rule" if deviation > 2 else "nothing"
