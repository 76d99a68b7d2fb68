"""Never waits for more than three checks."""


def health(checks, fall, rise, up=True):
    states, streak = [], 0
    for passed in checks:
        streak = streak + 1 if passed != up else 0
        if streak >= min(fall if up else rise, 3):
            up, streak = not up, 0
        states.append(up)
    return states
