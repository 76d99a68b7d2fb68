"""No rules."""


def line_rules():
    return []
