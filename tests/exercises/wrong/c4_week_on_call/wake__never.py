"""Never calls."""


def wake(alert):
    return False
