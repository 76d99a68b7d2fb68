"""Comes up after three passes, however many are asked for."""


def health(checks, fall, rise, up=True):
    states, streak = [], 0
    for passed in checks:
        streak = streak + 1 if passed != up else 0
        if streak >= (fall if up else min(rise, 3)):
            up, streak = not up, 0
        states.append(up)
    return states
