"""Memory, processor time and throttling of the whole service: read when Prometheus asks, by whichever worker is asked.

Linux tells all of it in files; elsewhere there is nothing here to export.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: number 3 of the manual is [0]."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processes() -> set[int]:
    """Numbers of the service's processes: this one alone, or the workers, who made them and who watches over them."""
    found = {os.getpid()}
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        nursery = os.getppid()
        found |= {nursery, int(_stat(nursery)[1])}
        found |= {int(name) for file in Path(folder).glob("*_*.db") if (name := file.stem.rpartition("_")[2]).isdigit()}
    return found


def memory(pid: int) -> int:
    """Bytes that this process would give back: what it shares with others counts for each in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def throttled(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Seconds for which the control group was kept from running because its quota was used up; None where unknown."""
    for file, name, unit in (
        (root / "cpu.stat", "throttled_usec", 1e6),
        (root / "cpu/cpu.stat", "throttled_time", 1e9),
    ):
        try:
            told = dict(line.split() for line in file.read_text().splitlines())
        except (OSError, ValueError):
            continue
        if name in told:
            return int(told[name]) / unit
    return None


class Resources(Collector):
    """What the service uses, as Prometheus metrics. A process that ends while it is being read is left out."""

    def collect(self) -> Iterable[Metric]:
        size = seconds = 0.0
        try:
            pids = processes()
        except (OSError, ValueError, IndexError):
            return
        for pid in pids:
            try:
                fields, used = _stat(pid), memory(pid)
            except (OSError, ValueError):
                continue
            size += used
            # Own time, and that of children who have ended: a worker that died has taken its time with it.
            seconds += sum(int(fields[i]) for i in (11, 12, 13, 14)) / _TICK
        if not size:
            return
        yield GaugeMetricFamily("cvprod_memory_bytes", "Memory of all processes, shared pages once.", size)
        yield CounterMetricFamily("cvprod_cpu_seconds", "Processor time of all processes.", seconds)
        if (held := throttled()) is not None:
            yield CounterMetricFamily("cvprod_throttled_seconds", "Time that the quota kept us from running.", held)
