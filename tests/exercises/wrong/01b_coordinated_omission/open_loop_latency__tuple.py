"""Returns a tuple."""


def open_loop_latency(intended, service):
    latency, free = [], float("-inf")
    for due, work in zip(intended, service):
        free = max(due, free) + work
        latency.append(free - due)
    return tuple(latency)
