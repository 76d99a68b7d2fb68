"""Has one bar for every number of labels."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    high = labels > 0 and errors > 0.09 and labels > 50
    if drift > 1:
        return "steel" if high else "light"
    return "rule" if high else "nothing"
