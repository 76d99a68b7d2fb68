"""Sweeps by latency and keeps each new best accuracy: of two equal models it keeps one."""


def pareto_front(models):
    front, best = set(), -1.0
    for name, (_, accuracy) in sorted(models.items(), key=lambda item: (item[1][0], -item[1][1])):
        if accuracy > best:
            front.add(name)
            best = accuracy
    return front
