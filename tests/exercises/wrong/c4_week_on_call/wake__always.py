"""Always calls."""


def wake(alert):
    return True
