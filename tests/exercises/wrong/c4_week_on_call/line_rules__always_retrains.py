"""Retrains whatever happens."""


def line_rules():
    return [
        ("vector(1)", "retrain"),
    ]
