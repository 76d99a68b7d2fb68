"""Waits for one and a half times the threshold."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    high = labels > 0 and errors > 0.04 + 2 * np.sqrt(0.04 * 0.96 / labels)
    if drift > 1.5:
        return "steel" if high else "light"
    return "rule" if high else "nothing"
