"""Takes what is left of a wait for nothing when it is small."""


def backfill(latencies, period):
    filled = []
    for latency in latencies:
        filled.append(latency)
        k = 1
        while latency - k * period > 1e-3:
            filled.append(latency - k * period)
            k += 1
    return np.array(filled)
