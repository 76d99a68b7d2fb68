"""Takes what is nearly as accurate for as accurate."""


def pareto_front(models):
    return {
        name
        for name, (latency, accuracy) in models.items()
        if not any(
            other[0] <= latency and other[1] >= accuracy - 1e-3 and other != (latency, accuracy)
            for other in models.values()
        )
    }
