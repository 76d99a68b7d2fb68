"""Begins the best accuracy at 0, so that a model at 0 is never better."""


def pareto_front(models):
    front, best, at = set(), 0, None
    for name, (ms, a) in sorted(models.items(), key=lambda m: (m[1][0], -m[1][1])):
        if a > best or (ms, a) == at:
            front.add(name)
            best, at = a, (ms, a)
    return front
