"""Two loops."""


def pareto_front(models):
    front = set()
    for name, (latency, accuracy) in models.items():
        for other, (faster, better) in models.items():
            if other != name and faster <= latency and better >= accuracy and (faster < latency or better > accuracy):
                break
        else:
            front.add(name)
    return front
