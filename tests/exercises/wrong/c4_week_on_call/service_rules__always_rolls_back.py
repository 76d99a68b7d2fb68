"""Rolls back whatever happens."""


def service_rules():
    return [
        ("vector(1)", "roll back"),
    ]
