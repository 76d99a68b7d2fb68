"""Takes every share above 4 % for high, however few labels there are."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    high = labels > 0 and errors > 0.08
    if drift > 1:
        return "steel" if high else "light"
    return "rule" if high else "nothing"
