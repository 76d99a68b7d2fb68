"""Takes a wait of more than a minute for a mistake."""


def open_loop_latency(intended, service):
    latency, free = np.empty(len(service)), -np.inf
    for i, (due, work) in enumerate(zip(intended, service, strict=True)):
        free = max(due, free) + work
        latency[i] = min(free - due, 60.0)
    return latency
