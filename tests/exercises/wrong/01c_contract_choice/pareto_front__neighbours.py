"""Compares each model only with the next faster one."""


def pareto_front(models):
    order = sorted(models, key=lambda name: models[name])
    return {b for a, b in zip([None, *order], order, strict=False) if a is None or models[b][1] > models[a][1]}
