"""More replicas whatever happens."""


def service_rules():
    return [
        ("up == 1", "add replicas"),
    ]
