"""Queueing theory for one queue: what a model predicts, and a simulation to check it where no formula exists.

Rates are in 1/s, times in seconds. Formulas: L. Kleinrock, "Queueing Systems", volume 1, 1975.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import numpy as np


def mg1(rate: float, mean: float, variance: float) -> float:
    """Mean time in a system with Poisson arrivals, one server and any service time (Pollaczek-Khinchine).

    variance: of the service time, in s^2. Infinite where the load reaches the capacity. With variance = mean^2 it is
    M/M/1, with variance = 0 it is M/D/1. Raises ValueError for a negative argument or mean = 0.
    """
    if rate < 0 or mean <= 0 or variance < 0:
        raise ValueError(f"rate >= 0, mean > 0 and variance >= 0 are needed, not {rate}, {mean}, {variance}.")
    load = rate * mean
    if load >= 1:
        return math.inf
    return mean + rate * (variance + mean**2) / (2 * (1 - load))


def mm1(rate: float, mean: float) -> float:
    """Mean time in a system whose service times are exponential: mean / (1 - load)."""
    return mg1(rate, mean, mean**2)


def md1(rate: float, mean: float) -> float:
    """Mean time in a system whose service always takes the same time."""
    return mg1(rate, mean, 0.0)


def erlang_c(servers: int, offered: float) -> float:
    """Share of arrivals that must wait in M/M/c; offered load rate * mean in erlangs, below `servers`.

    Raises ValueError for an offered load that the servers cannot carry.
    """
    if servers < 1 or not 0 <= offered < servers:
        raise ValueError(f"{servers} servers carry a load from 0 to below {servers} erlangs, not {offered}.")
    blocked = 1.0
    for n in range(1, servers + 1):  # Erlang B by its recursion: no factorials that overflow
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mmc(rate: float, mean: float, servers: int) -> float:
    """Mean time in a system with one queue before `servers` servers, exponential service. Infinite at capacity."""
    if rate * mean >= servers:
        return math.inf
    return mean + erlang_c(servers, rate * mean) * mean / (servers - rate * mean)


def servers_needed(rate: float, mean: float, wait: float, share: float = 0.99) -> int:
    """Least servers of M/M/c with which at least `share` of the arrivals wait no longer than `wait` seconds."""
    if rate < 0 or mean <= 0 or wait < 0 or not 0 < share < 1:
        raise ValueError("rate >= 0, mean > 0, wait >= 0 and a share between 0 and 1 are needed.")
    servers = math.floor(rate * mean) + 1  # by Little's law, rate * mean are busy at a time
    while erlang_c(servers, rate * mean) * math.exp(-(servers - rate * mean) * wait / mean) > 1 - share:
        servers += 1
    return servers


def arrivals(rate: float | Callable[[float], float], seconds: float, *, seed: int = 0, most: float | None = None):
    """Times of a Poisson stream, float64 (n,); a rate that changes is thinned from its maximum `most`."""
    steady = not callable(rate)
    top = float(rate) if steady else most
    if top is None or top <= 0 or seconds <= 0:
        raise ValueError("a stream needs a rate > 0 (for a function its maximum, `most`) and some seconds.")
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / top, int(top * seconds + 6 * math.sqrt(top * seconds)) + 20))
    times = times[times < seconds]
    if steady:
        return times
    return times[random.random(times.size) * top < [rate(t) for t in times]]


def simulate(times: np.ndarray, service: np.ndarray, servers: int = 1) -> np.ndarray:
    """First come, first served: when each arrival is done, float64 (n,).

    times: ascending arrivals; service: how long each takes. Any distribution, any number of servers.
    """
    times, service = np.asarray(times, float), np.asarray(service, float)
    if times.shape != service.shape or times.ndim != 1 or (np.diff(times) < 0).any() or servers < 1:
        raise ValueError("arrivals must ascend, with one service time each, and at least one server.")
    free = [0.0] * servers
    done = np.empty(times.size)
    for i, (arrived, takes) in enumerate(zip(times, service, strict=True)):
        done[i] = max(arrived, heapq.heappop(free)) + takes
        heapq.heappush(free, done[i])
    return done


def in_system(times: np.ndarray, done: np.ndarray) -> float:
    """Mean number in the system over the time observed: the L of Little's law, counted and not computed from it."""
    moments = np.concatenate([times, done])
    change = np.concatenate([np.ones(len(times)), -np.ones(len(done))])
    order = np.argsort(moments, kind="stable")
    present = np.cumsum(change[order])[:-1]
    return float((present * np.diff(moments[order])).sum() / (moments.max() - moments.min()))
