"""Never decides: no version is ever promoted."""


def decide(history):
    return "hold"
