"""Looks back at the last checks."""


def health(checks, fall, rise, up=True):
    states, since = [], 0
    for i, _ in enumerate(checks):
        need = fall if up else rise
        recent = checks[max(since, i - need + 1) : i + 1]
        if len(recent) == need and all(check != up for check in recent):
            up, since = not up, i + 1
        states.append(up)
    return states
