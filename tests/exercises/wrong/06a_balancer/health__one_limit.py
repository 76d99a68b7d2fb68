"""Uses `fall` for both directions."""


def health(checks, fall, rise, up=True):
    states, streak = [], 0
    for passed in checks:
        streak = streak + 1 if passed != up else 0
        if streak >= fall:
            up, streak = not up, 0
        states.append(up)
    return states
