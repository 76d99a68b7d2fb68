"""All are well."""


def dead(rules, buckets):
    return []
