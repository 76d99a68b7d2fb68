"""No rules."""


def service_rules():
    return []
