"""Never decides."""


def decide(looks):
    return "go on"
