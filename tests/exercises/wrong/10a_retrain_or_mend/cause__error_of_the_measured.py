"""Takes the standard error of the measured share, not of the usual one."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    high = labels > 0 and errors > 0.04 + 2 * np.sqrt(errors * (1 - errors) / labels)
    if drift > 1:
        return "steel" if high else "light"
    return "rule" if high else "nothing"
