"""Asks for wrong answers before it believes in a blurred lens."""


def cause(drift, sharpness, errors, labels):
    high = labels > 0 and errors > 0.04 + 2 * np.sqrt(0.04 * 0.96 / labels)
    if drift > 1 and high:
        return "lens" if sharpness < 0.8 else "steel"
    if high:
        return "lens" if sharpness < 0.8 else "rule"
    return "light" if drift > 1 else "nothing"
