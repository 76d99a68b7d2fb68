"""Returns a list."""


def backfill(latencies, period):
    filled = []
    for latency in latencies:
        while latency > 0:
            filled.append(latency)
            latency = latency - period
    return filled
