"""Takes two wrong answers above the usual share for proof."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    high = labels > 0 and errors > 0.04 + 2 / labels
    if drift > 1:
        return "steel" if high else "light"
    return "rule" if high else "nothing"
