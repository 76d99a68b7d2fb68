"""None is well."""


def dead(rules, buckets):
    return list(rules)
