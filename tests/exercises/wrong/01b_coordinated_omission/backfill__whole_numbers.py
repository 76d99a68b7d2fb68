"""Whole latencies make whole waits, whatever the period."""


def backfill(latencies, period):
    filled = []
    for latency in latencies:
        filled.append(latency)
        k = 1
        while latency - k * period > 0:
            filled.append(latency - k * period)
            k += 1
    return (
        np.array(filled).astype(int)
        if np.ndim(latencies) and all(float(x).is_integer() for x in latencies)
        else np.array(filled)
    )
