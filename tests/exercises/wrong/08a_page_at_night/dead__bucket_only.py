"""Looks at the bucket alone."""


def dead(rules, buckets):
    return [name for name, r in rules.items() if r["bucket"] not in buckets]
