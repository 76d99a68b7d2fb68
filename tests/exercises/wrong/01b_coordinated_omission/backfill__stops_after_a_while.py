"""Stops after three hundred omitted requests."""


def backfill(latencies, period):
    filled = []
    for latency in latencies:
        filled.append(latency)
        k = 1
        while latency - k * period > 0 and k <= 300:
            filled.append(latency - k * period)
            k += 1
    return np.array(filled)
