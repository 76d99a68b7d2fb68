"""What a pod is planned to carry: `python deploy/kubernetes/capacity.py`; with `--measure`, by what a tile costs here.

    capacity   a pod's cores, divided by the CPU seconds that a tile costs
    share      of it at which 99 of 100 tiles still wait no longer than the contract allows, by M/M/c (chapter 6)
    planned    capacity times share: KEDA's threshold, and what TooFewPods reckons with

CPU seconds, because they hardly change when something else uses the machine. In your cluster, over a busy hour:

    sum(rate(container_cpu_usage_seconds_total{namespace="inspection", container="inspection"}[1h]))
      / sum(rate(cvprod_batch_images_sum{namespace="inspection"}[1h]))
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cvprod import contract
from cvprod.serving.engine import SHARE
from cvprod.traffic import queueing

#: A pod's CPU limit in base.
CORES = 2
#: By `--measure`, on 29 November 2026: a JPEG tile over HTTP, keep-alive, two workers on two cores of a shared cloud
#: machine; the highest of three readings, 1.7 to 2.1 ms.
SECONDS_A_TILE = 0.0021


def share(cores: int, seconds: float, wait: float) -> float:
    """Largest share of a pod's capacity, in per cent steps, at which 99 of 100 tiles wait at most `wait` seconds.

    Raises ValueError where one tile a second is too many already.
    """
    if wait <= 0:
        raise ValueError(f"a tile takes {seconds * 1e3:g} ms on a core: the limit leaves no time to wait.")
    fine = [p for p in range(1, 100) if queueing.servers_needed(p / 100 * cores / seconds, seconds, wait) <= cores]
    if not fine:
        raise ValueError(f"{cores} cores keep a wait of {wait * 1e3:g} ms at no load: take more, or a smaller model.")
    return max(fine) / 100


def planned(cores: int, seconds: float, limit: float) -> int:
    """Tiles a second for a pod, given a latency limit in seconds. As in the service's own admission, a part of the
    limit (1 - SHARE) is left for the network and for a machine that stutters, and the tile's own work counts."""
    return int(cores / seconds * share(cores, seconds, SHARE * limit - seconds))


def measure(seconds: float = 2.0) -> float:
    """CPU seconds that a tile costs on this machine: the highest of three readings."""
    import psutil

    from cvprod.bench.serving import make_pictures
    from cvprod.stack.service import Service
    from cvprod.traffic import http_load

    with tempfile.TemporaryDirectory() as folder:
        tiles = [path.read_bytes() for path in make_pictures(Path(folder))]
    with Service("--workers", CORES, "--latency-budget-ms", 1000, "--no-access-log") as service:

        def spent() -> float:
            own = psutil.Process(service.process.pid)
            return sum(sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True)))

        readings = []
        for _ in range(4):
            before = spent()
            seen = http_load.measure(service.address + "/v1/inspect", tiles, connections=8, seconds=seconds)
            readings.append((spent() - before) / seen.status.size)
    return max(readings[1:])  # the first one warms up


if __name__ == "__main__":
    cost = measure() if "--measure" in sys.argv[1:] else SECONDS_A_TILE
    limits = contract.load_contract()
    limit, rate = limits.p99_latency_ms.limit / 1e3, limits.tiles_per_s.limit
    part, carried = share(CORES, cost, SHARE * limit - cost), planned(CORES, cost, limit)
    print(f"A tile costs {cost * 1e3:.2f} ms of CPU: {CORES / cost:.0f} tiles/s with {CORES} cores.")
    print(f"{part:.0%} of that, {carried} tiles/s, keep 99 of 100 within {limit * 1e3:g} ms.")
    print(f"The line's {rate:g} tiles/s need {-(-rate // carried):g} pods, and one to spare.")
