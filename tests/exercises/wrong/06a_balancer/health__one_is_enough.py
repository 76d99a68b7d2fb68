"""Every check decides at once."""


def health(checks, fall, rise, up=True):
    return list(checks)
