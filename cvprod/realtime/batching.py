"""One worker, one queue, one policy of batching: real computation on arrivals that are known beforehand.

Because the arrivals are a list, no second thread has to make them, and nothing disturbs the measurement: the worker
looks at the clock, takes who has come, and computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from cvprod.traffic.load import Load, sleep_until


def serve(
    run: Callable[[np.ndarray], object], tiles: np.ndarray, due: np.ndarray, *, most: int = 1, wait: float = 0.0
) -> tuple[Load, np.ndarray]:
    """Compute every arrival for real, in batches of those that are there.

    Args:
        run: the network, called with (n, ...) of `tiles`, n <= most.
        tiles: what arrives, used round and round; at least `most` of them.
        due: arrival times in seconds, ascending.
        most: largest batch.
        wait: seconds that the first of a batch may wait for others; inf waits until it is full.

    Returns:
        The load test (its `latency` counts from due to done), and the size of each batch.
    """
    due = np.asarray(due, float)
    if most < 1 or wait < 0 or due.size == 0 or (np.diff(due) < 0).any() or len(tiles) < most:
        raise ValueError("needs ascending arrivals, most >= 1, wait >= 0 and at least `most` tiles.")
    started, done, sizes = np.empty(due.size), np.empty(due.size), []
    first, origin = 0, time.perf_counter()
    while first < due.size:
        full = due[min(first + most, due.size) - 1]  # when the last place is taken, or nobody else will come
        sleep_until(origin + min(full, due[first] + wait))
        now = time.perf_counter() - origin
        end = int(np.searchsorted(due, now, side="right"))
        end = min(max(end, first + 1), first + most)
        started[first:end] = now
        run(tiles[: end - first])
        done[first:end] = time.perf_counter() - origin
        sizes.append(end - first)
        first = end
    return Load(due, started, done), np.array(sizes)
