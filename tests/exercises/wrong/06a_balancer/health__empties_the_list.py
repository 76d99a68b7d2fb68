"""Takes the checks out of the caller's list."""


def health(checks, fall, rise, up=True):
    states, streak = [], 0
    while checks:
        streak = streak + 1 if checks.pop(0) != up else 0
        if streak >= (fall if up else rise):
            up, streak = not up, 0
        states.append(up)
    return states
