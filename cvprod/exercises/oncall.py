"""What capstone 4 draws from a seed: a week of incidents, as the book's service and its monitor would show them.

Series have the names and labels of `cvprod.serving.metrics`, `cvprod.monitoring` and deploy/monitoring/rules, lines of
the log those of `cvprod.serving.logs`, lines of a bill those of `cvprod.costs.bill`. `cvprod.exercises.promql`
evaluates queries over them. The same seed draws the same week everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from cvprod.costs import bill, prices
from cvprod.exercises.promql import Data, QueryError, query
from cvprod.serving.descriptors import NAMES as DESCRIPTORS

#: What may be done, and what doing it costs where it helps nobody, EUR.
ACTIONS = {
    "nothing": 0, "roll back": 600, "add replicas": 300, "replace": 300, "raise memory": 300, "raise cpu": 300,
    "block caller": 900, "mend camera": 3000, "retrain": 800, "stop machines": 600,
}  # fmt: skip
#: The incidents that the service itself has, those of the line around it, and those that are none.
SERVICE = ("roll back", "add replicas", "replace", "raise memory", "raise cpu")
LINE = ("block caller", "mend camera", "retrain", "stop machines")
HARMLESS = ("roll-out", "burst", "standing line", "new lamps", "full cache")
#: EUR that an incident costs which nobody mends, and a call for nothing.
MISSED, WOKEN = 1500, 200

NOW = 4 * 3600.0  # seconds: four hours of history, a sample a minute
_TIMES = np.arange(7.0, NOW, 60.0)
_MINUTES = len(_TIMES)
_LIMIT = 512e6  # bytes of memory, the contract's
_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
_KEYS = ("line-1", "line-2", "quality", "archive")


@dataclass
class Incident:
    """One call: the alert's text, what can be asked, and the action that mends it ("nothing" where none is needed).

    kind: of HARMLESS for those; otherwise the action.
    """

    alert: str
    data: Data
    action: str
    kind: str


_ALERTS = {
    "roll back": "ServiceErrors: 5xx on /v1/inspect", "add replicas": "Overload: requests refused for lack of time",
    "replace": "LatencyBudgetBurnsFast", "raise memory": "ServiceDown: a service did not answer",
    "raise cpu": "LatencyBudgetBurnsFast", "block caller": "a mail: somebody offers a copy of our model",
    "mend camera": "DriftSeen", "retrain": "DriftSeen", "stop machines": "TilesTooDear",
    "roll-out": "ServiceDown: a service did not answer", "burst": "Overload: requests refused for lack of time",
    "standing line": "NoTraffic", "new lamps": "DriftSeen", "full cache": "a dashboard: memory went up",
}  # fmt: skip


def incident(kind: str, seed: int) -> Incident:
    """One incident of a kind: of SERVICE, LINE or HARMLESS, or "quiet" for hours in which nothing happens.

    Raises ValueError for another kind.
    """
    if kind not in (*_ALERTS, "quiet"):
        raise ValueError(f"no incident {kind!r}; there are {', '.join(_ALERTS)} and quiet")
    rng = np.random.default_rng([seed, 41, ["quiet", *_ALERTS].index(kind)])
    data = Data()
    since = _MINUTES - int(rng.integers(45, 75))  # the minute in which it began
    on = np.arange(_MINUTES) >= since
    ago = np.maximum(0, np.arange(_MINUTES) - since)
    count = 9 if kind == "stop machines" else 3
    shared = _Shared(rng, kind, on, ago, count)
    sick = int(rng.integers(count))
    for k in range(count):
        _instance(data, rng, f"inspection-{k + 1}:8000", k, k == sick, shared)
    _watch(data, rng, kind, on, ago)
    _log(data, rng, kind, shared)
    euros = 0.0914817 * count  # of a machine an hour: deploy/monitoring/rules/cost.yml
    data.add("inspection:cost:eur_per_hour", {}, _TIMES, np.full(_MINUTES, euros))
    return Incident(_ALERTS.get(kind, ""), data, kind if kind in ACTIONS else "nothing", kind)


class _Shared:
    """What all instances of a service have in common in these hours; rates a second, a value a minute."""

    def __init__(self, rng: np.random.Generator, kind: str, on: np.ndarray, ago: np.ndarray, count: int) -> None:
        self.kind, self.on, self.ago = kind, on, ago
        wave = 1 + 0.15 * np.sin(np.arange(_MINUTES) / 40 + rng.uniform(0, 6))
        total = rng.uniform(900, 1150) * wave
        if kind == "stop machines":
            total = rng.uniform(120, 250) * wave
        if kind == "add replicas":
            total = total * np.where(on, 1.9, 1)
        if kind == "standing line":
            total = total * ~on
        self.load = total / count
        self.burst = np.zeros(_MINUTES, bool)
        if kind == "burst":
            first = _MINUTES - int(rng.integers(12, 30))
            self.burst[first : first + 2] = True
        self.version = np.where(on & (kind in ("roll back", "roll-out")), "2026.11", "2026.10")
        #: The way in which a version is bad: its code fails, or it is slow.
        self.slow_version = kind == "roll back" and rng.random() < 0.4
        self.errors = kind == "roll back" and not self.slow_version


def _instance(data: Data, rng: np.random.Generator, instance: str, k: int, sick: bool, s: _Shared) -> None:
    own = {"job": "inspection", "instance": instance}
    noise = rng.normal(1, 0.04, _MINUTES)
    rate = np.maximum(0, s.load * noise)
    slow = np.full(_MINUTES, rng.uniform(0.002, 0.004))
    failed, refused, down = np.zeros(_MINUTES), np.zeros(_MINUTES), np.zeros(_MINUTES, bool)
    infer, wait = np.full(_MINUTES, 0.0021), np.full(_MINUTES, 0.0006)
    memory = np.full(_MINUTES, 0.5 * _LIMIT) * rng.normal(1, 0.01, _MINUTES)
    throttled = np.full(_MINUTES, 0.004)
    starts = np.zeros(_MINUTES, bool)
    if s.errors:
        failed = np.where(s.on, rng.uniform(0.03, 0.08), 0)
    if s.slow_version:
        slow, infer = np.where(s.on, rng.uniform(0.2, 0.4), slow), np.where(s.on, 0.0075, infer)
    if s.kind == "add replicas":
        refused, wait = np.where(s.on, rng.uniform(0.12, 0.2), 0), np.where(s.on, 0.006, wait)
        slow = np.where(s.on, 0.06, slow)
    if s.kind == "replace" and sick:
        slow, infer = np.where(s.on, rng.uniform(0.4, 0.6), slow), np.where(s.on, 0.016, infer)
        failed = np.where(s.on, rng.uniform(0, 0.04), 0)
    if s.kind == "raise cpu":
        throttled = np.where(s.on, rng.uniform(0.3, 0.5), throttled)
        slow, wait = np.where(s.on, rng.uniform(0.15, 0.3), slow), np.where(s.on, 0.004, wait)
    if s.kind == "raise memory":
        cycle = int(rng.integers(14, 22))
        place = (s.ago + 5 * k) % cycle
        memory = np.where(s.on, _LIMIT * (0.52 + 0.47 * place / (cycle - 1)), memory)
        starts = s.on & (place == 0) & (s.ago > 0)
    if s.kind == "roll-out":
        starts[np.flatnonzero(s.on)[0] + 3 * k] = True
    if s.kind == "full cache":
        memory = memory + np.where(s.on, 0.22 * _LIMIT * (1 - np.exp(-s.ago / 12)), 0)
    slow, refused = np.where(s.burst, 0.3, slow), np.where(s.burst, 0.15, refused)
    wait = np.where(s.burst, 0.008, wait)
    down |= starts
    rate = np.where(down, 0, rate)

    def counter(name: str, labels: dict[str, str], per_second: np.ndarray) -> None:
        """A counter that begins at 0 where the instance starts anew, and is missing where it is down."""
        grown = np.cumsum(rng.poisson(np.maximum(0, per_second) * 60)) + float(rng.integers(1e4, 1e5))
        data.add(name, own | labels, _TIMES[~down], _restart(grown, starts)[~down])

    route = {"route": "/v1/inspect"}
    answered = rate * (1 - failed) * (1 - refused)
    data.add("up", own, _TIMES, np.where(down, 0.0, 1.0))
    counter("cvprod_requests_total", {**route, "code": "200"}, answered)
    if failed.any():
        counter("cvprod_requests_total", {**route, "code": "500"}, rate * failed)
    if refused.any():  # a counter with labels does not exist before its first event
        counter("cvprod_requests_total", {**route, "code": "429"}, rate * refused)
        counter("cvprod_rejected_total", {"reason": "overloaded"}, rate * refused)
    counter("cvprod_requests_total", {**route, "code": "422"}, 0.02 * (rate > 0))
    counter("cvprod_rejected_total", {"reason": "image-truncated"}, 0.02 * (rate > 0))
    counter("cvprod_batch_images_sum", {}, answered)
    _histogram(data, rng, own | route, answered + rate * failed, slow, starts, down)
    for stage, seconds in (("queue", wait), ("decode", np.full(_MINUTES, 0.0009)), ("infer", infer)):
        data.add("cvprod_stage_seconds_sum", own | {"stage": stage}, _TIMES[~down],
                 _restart(np.cumsum(60 * answered * seconds), starts)[~down])  # fmt: skip
        data.add("cvprod_stage_seconds_count", own | {"stage": stage}, _TIMES[~down],
                 _restart(np.cumsum(60 * answered), starts)[~down])  # fmt: skip
    data.add("cvprod_queue_images", own, _TIMES[~down], (answered * wait)[~down].round(2))
    data.add("cvprod_memory_bytes", own, _TIMES[~down], memory[~down])
    for name, per_second in (("cvprod_cpu_seconds_total", 0.1 + answered * 0.0015),
                             ("cvprod_throttled_seconds_total", throttled)):  # fmt: skip
        data.add(name, own, _TIMES[~down], _restart(np.cumsum(60 * per_second), starts)[~down])
    for version in sorted(set(s.version.tolist())):
        mine = (s.version == version) & ~down
        about = {"name": "steel", "version": version, "sha256": version.replace(".", "") * 2}
        data.add("cvprod_model_info", own | about, _TIMES[mine], np.full(mine.sum(), 2.0))


def _restart(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    out, base = values.copy(), 0.0
    for i in np.flatnonzero(starts):
        base = values[i]
        out[i:] = values[i:] - base
    return out


def _histogram(
    data: Data, rng: np.random.Generator, labels: dict[str, str], rate: np.ndarray, slow: np.ndarray,
    starts: np.ndarray, down: np.ndarray,
) -> None:  # fmt: skip
    """cvprod_request_seconds: below 10 ms an even climb, beyond it half as many in each bucket as in the one before."""
    requests = rng.poisson(rate * 60)
    late = rng.binomial(requests, np.clip(slow, 0, 1))
    for k, bound in enumerate(_BUCKETS):
        if bound <= 0.01:
            inside = (requests - late) * min(1.0, ((k + 1) / 6) ** 1.5)
        else:
            inside = requests - late * 0.5 ** (k - 5)
        data.add("cvprod_request_seconds_bucket", labels | {"le": f"{bound:g}"}, _TIMES[~down],
                 _restart(np.cumsum(np.floor(inside)), starts)[~down])  # fmt: skip
    total = _restart(np.cumsum(requests), starts)[~down]
    data.add("cvprod_request_seconds_bucket", labels | {"le": "+Inf"}, _TIMES[~down], total)
    data.add("cvprod_request_seconds_count", labels, _TIMES[~down], total)


def _watch(data: Data, rng: np.random.Generator, kind: str, on: np.ndarray, ago: np.ndarray) -> None:
    """What the monitor says of drift and of quality."""
    moved = {
        "mend camera": [str(rng.choice(["sharpness", "smear", "clipping"]))],
        "retrain": [str(rng.choice(["grain", "contrast"]))],
        "new lamps": ["brightness", "shading"],
    }.get(kind, [])
    job = {"job": "monitor", "instance": "monitor:9109"}
    score = np.where(on & bool(moved), rng.uniform(1.6, 3.0), 0.6) * rng.normal(1, 0.05, _MINUTES)
    data.add("cvprod_drift_score", job | {"detector": "mmd"}, _TIMES, score)
    data.add("cvprod_drift_limit", job | {"detector": "mmd"}, _TIMES, np.ones(_MINUTES))
    for name in DESCRIPTORS:
        ks = np.where(on & (name in moved), rng.uniform(0.45, 0.8), 0.1) + rng.normal(0, 0.02, _MINUTES)
        data.add("cvprod_drift_descriptor_ks", job | {"descriptor": name}, _TIMES, np.clip(ks, 0, 1))
    worse = kind in ("mend camera", "retrain")
    recall = np.where(on & worse, 0.99 - np.minimum(0.06, 0.004 * ago), 0.99) + rng.normal(0, 0.001, _MINUTES)
    for bound, off in (("low", -0.012), ("high", 0.006)):
        about = job | {"metric": "defect_recall", "bound": bound}
        data.add("cvprod_quality", about, _TIMES, np.clip(recall + off, 0, 1))


def _log(data: Data, rng: np.random.Generator, kind: str, s: _Shared) -> None:
    """A sample of the service's lines, the faults, and what the watch for alike queries says."""
    stream = {"app": "inspection"}

    def say(minute: int, event: str, **fields: object) -> None:
        time = float(_TIMES[minute] + rng.uniform(-50, 0))
        level = {"fault": "error", "alike-queries": "warning", "worker-died": "warning"}.get(event, "info")
        data.logs.append((time, stream, {"level": level, "event": event, **fields}))

    for minute in range(0, _MINUTES, 2):
        if not s.load[minute]:
            continue
        version, bad = str(s.version[minute]), bool(s.on[minute])
        slow = 0.3 if bad and (s.slow_version or kind in ("raise cpu", "replace")) else 0.02
        code = 500 if s.errors and bad and rng.random() < 0.3 else 200
        ms = float(rng.uniform(11, 60) if rng.random() < slow else rng.uniform(3, 9))
        name = f"{rng.integers(16**8):08x}"
        about = {"route": "/v1/inspect", "request_id": name}
        say(minute, "request", **about, code=code, ms=round(ms, 3), model=version, images=1)
        if code == 500:
            say(minute, "fault", **about, error="IndexError at output.py:88")
    for _ in range(int(rng.integers(2, 6))):  # everybody sends nearly the same picture twice, once in a while
        say(int(rng.integers(_MINUTES)), "alike-queries", key=str(rng.choice(_KEYS)), images=int(rng.integers(20, 40)))
    if kind == "block caller":
        for minute in np.flatnonzero(s.on)[:: int(rng.integers(3, 6))]:
            say(int(minute), "alike-queries", key="visitor", images=int(rng.integers(200, 400)))
    if kind == "raise memory":
        for minute in np.flatnonzero(s.on)[::16]:
            say(int(minute), "worker-died", worker=int(rng.integers(2)), reason="killed (9)")
    if kind == "burst":
        for minute in np.flatnonzero(s.burst):
            say(int(minute), "refused", route="/v1/inspect", code=429, count=int(rng.integers(40, 90)))


@cache
def week(seed: int) -> tuple[Incident, ...]:
    """Twelve incidents in random order: every kind of SERVICE and LINE, and three of HARMLESS."""
    rng = np.random.default_rng([seed, 40])
    kinds = [*SERVICE, *LINE, *rng.choice(HARMLESS, 3, replace=False)]
    return tuple(incident(str(kinds[i]), 100 * seed + i) for i in rng.permutation(12))


@cache
def quiet(seed: int) -> Incident:
    """Four hours in which nothing happens."""
    return incident("quiet", seed)


Rules = Sequence[tuple[str, str]]


def answer(rules: Rules, data: Data, at: float = NOW) -> tuple[str, str]:
    """What a runbook says: the action of its first rule whose query finds something, and that query.

    rules: (query, action). A query that gives a number, or nothing, does not fire: compare it with a limit. Returns
    ("nothing", "") where no rule fires. Raises QueryError for a query that cannot be evaluated.
    """
    for expression, action in rules:
        if action not in ACTIONS:
            raise QueryError(f"{action!r} is none of the actions {', '.join(ACTIONS)}")
        found = query(expression, data, at)
        if isinstance(found, list) and any(not math.isnan(x) for _, x in found):
            return action, expression
    return "nothing", ""


def euros(said: str, incident: Incident, mine: Sequence[str]) -> float:
    """What an answer costs: 0 where it is right. mine: the actions that this runbook is for.

    An incident that is not yours has to be left alone: somebody else is at work on it.
    """
    wanted = incident.action if incident.action in mine else "nothing"
    if said == wanted:
        return 0.0
    price = WOKEN + ACTIONS[said] if said != "nothing" else 0.0
    return price + (MISSED if wanted != "nothing" else 0.0)


def month(rules: Rules, mine: Sequence[str], seeds: Sequence[int]) -> tuple[float, list[str]]:
    """EUR a week that a runbook costs over the weeks and the quiet hours of these seeds, and what went wrong."""
    total, wrong = 0.0, []
    for seed in seeds:
        for one in (*week(seed), quiet(seed), quiet(seed + 50_000)):
            said, _ = answer(rules, one.data)
            if cost := euros(said, one, mine):
                total += cost
                wrong.append(f"{one.kind}: {said}")
    return total / len(seeds), wrong


# --- a bill ----------------------------------------------------------------------------------------------------------


def bills(seed: int) -> tuple[list[bill.Line], list[bill.Line], float, tuple[str, str] | None]:
    """Two months of one service on AWS, how many times as many tiles the second had, and what is wrong with it.

    What is wrong is (line, cause), the cause "quantity" or "price", or None where traffic explains everything.
    """
    rng = np.random.default_rng([seed, 43])
    more = float(rng.choice([0.7, 1.0, 1.4, 2.0]))
    shape = {"hours": 600.0, "machines": 3, "tile_bytes": 12_000.0, "answer_bytes": 400.0, "log_bytes": 600.0,
             "logged": 0.5, "kept": 0.02}  # fmt: skip
    speed = float(rng.uniform(150, 250))
    before = bill.monthly(_prices(), "aws", bill.Traffic(speed, **shape))
    now = bill.monthly(_prices(), "aws", bill.Traffic(speed * more, **shape))
    if rng.random() < 0.3:
        return before, now, more, None
    k, cause = int(rng.integers(len(now))), str(rng.choice(["quantity", "price"]))
    factor = float(rng.uniform(1.5, 3))
    old = now[k]
    quantity = old.quantity * (factor if cause == "quantity" else 1)
    now[k] = bill.Line(old.what, old.price, quantity, old.unit, round(old.eur * factor, 2))
    return before, now, more, (old.what, cause)


@cache
def _prices() -> prices.Prices:
    return prices.load_prices()


# --- nights ----------------------------------------------------------------------------------------------------------


def nights(seed: int, n: int = 400) -> list[tuple[dict, bool]]:
    """Alerts at night, and whether each is real.

    An alert is {"past": list of bool, "lost_per_hour", "eur_each", "hours"}: whether this rule was right the last
    times, inspections that are lost in an hour if it is, what each costs, and the hours until the morning.
    """
    rng = np.random.default_rng([seed, 44])
    found = []
    for _ in range(n):
        right = rng.beta(0.7, 1.3)
        past = (rng.random(int(rng.integers(0, 12))) < right).tolist()
        alert = {
            "past": past, "lost_per_hour": int(rng.lognormal(6.5, 1.2)),
            "eur_each": float(rng.choice([0.02, 0.05, 0.4])), "hours": float(np.round(rng.uniform(0.25, 8), 2)),
        }  # fmt: skip
        found.append((alert, bool(rng.random() < right)))
    return found


#: Hours from the call until somebody has mended it.
REPAIR = 0.5


def night(wake: Callable[[dict], bool], seed: int) -> float:
    """EUR that a policy costs over the nights of a seed: calls, and what is lost until it is mended or morning."""
    total = 0.0
    for alert, real in nights(seed):
        called = bool(wake(dict(alert)))
        hours = min(alert["hours"], REPAIR) if called else alert["hours"]
        total += WOKEN * called + real * hours * alert["lost_per_hour"] * alert["eur_each"]
    return total
