"""Calls a model dominated only if it is beaten in both measures."""


def pareto_front(models):
    return {n for n, p in models.items() if not any(o[0] < p[0] and o[1] > p[1] for o in models.values())}
