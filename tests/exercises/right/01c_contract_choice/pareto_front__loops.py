"""Two loops, and a list instead of a set."""


def pareto_front(models):
    front = []
    for name, (latency, accuracy) in models.items():
        for other, (faster, better) in models.items():
            if other != name and faster <= latency and better >= accuracy and (faster < latency or better > accuracy):
                break
        else:
            front.append(name)
    return front
