"""Failures add up although passes lie between them."""


def health(checks, fall, rise, up=True):
    states, count = [], 0
    for passed in checks:
        count += passed != up
        if count >= (fall if up else rise):
            up, count = not up, 0
        states.append(up)
    return states
