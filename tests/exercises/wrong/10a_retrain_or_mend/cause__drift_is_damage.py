"""Every drift is taken for a new steel."""


def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    if drift > 1:
        return "steel"
    return "rule" if errors > 0.1 else "nothing"
