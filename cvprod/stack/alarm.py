"""One alarm from end to end: a promise is broken, somebody is told, it is mended, somebody is told again.

Each clock on the way (scrape, window, `for`, group_wait) is read from the programs themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cvprod import measure
from cvprod.stack.program import until
from cvprod.stack.prometheus import Prometheus, Webhook

RECORDED = Path(__file__).parent / "recorded_alarm.json"


@dataclass(frozen=True)
class Alarm:
    """When what happened, in seconds after the breach; quiet is the time before it.

    scraped: the last scrape that saw nothing (the next one can). over: the condition is true for the first time.
    firing: it was true for long enough. told: the webhook heard. mended: the cause is gone. well: the condition is
    false again. resolved: the webhook heard that, too. series: name -> (time, value) pairs. recorded: where and when,
    if this is no run of today.
    """

    quiet: float
    scraped: float
    over: float
    firing: float
    told: float
    mended: float
    well: float
    resolved: float
    early: tuple[str, ...] = ()
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    recorded: str = ""

    @property
    def phases(self) -> dict[str, tuple[float, float]]:
        """What was waited for -> (from, to)."""
        return {
            "scrape": (0.0, self.scraped),
            "windows fill": (self.scraped, self.over),
            "for": (self.over, self.firing),
            "group_wait": (self.firing, self.told),
            "windows empty": (self.mended, self.well),
            "group_interval": (self.well, self.resolved),
        }

    def save(self, path: Path = RECORDED) -> None:
        """Keep this run for readers without Prometheus, with machine and date."""
        where = f"{measure.machine()['cpu']}, {datetime.now(UTC):%Y-%m-%d}"
        path.write_text(json.dumps(asdict(self) | {"recorded": where}, indent=1) + "\n")


def load(path: Path = RECORDED) -> Alarm:
    """A recorded run."""
    kept = json.loads(path.read_text())
    kept["early"] = tuple(kept["early"])
    kept["series"] = {name: [tuple(pair) for pair in pairs] for name, pairs in kept["series"].items()}
    return Alarm(**kept)


def sound(
    prometheus: Prometheus, webhook: Webhook, name: str, disturb: Callable[[], Callable[[], object]], *,
    quiet: float = 8.0, every: float = 1.0, series: tuple[str, ...] = (), patience: float = 60.0,
) -> Alarm:  # fmt: skip
    """Let one alert fire and be resolved.

    Args:
        prometheus, webhook: running; an Alertmanager stands between them.
        name: of the alert.
        disturb: breaks the promise and returns what mends it again.
        quiet: seconds before that, in which no alert may fire (`early` says which did).
        every: seconds between two scrapes.
        series: recorded along the way.
        patience: seconds to wait for the webhook, each way.

    Raises:
        RuntimeError: the webhook was not told in time.
    """
    # Prometheus looks for whom to ask every five seconds; quiet is counted from when it has begun to ask.
    if not until(lambda: prometheus.query("count(up{job='inspection'} == 1)"), patience):
        raise RuntimeError(f"Prometheus has asked no service within {patience:g} s")
    begun = time.time()
    time.sleep(quiet)
    early = tuple(one.name for one in webhook.notices if one.name != "Watchdog")
    breach = time.time()
    mend = disturb()
    states: dict[str, float] = {}

    def heard() -> bool:
        state, since = prometheus.alerts().get(name, ("", 0.0))
        if state:
            states.setdefault("over", since)
        if state == "firing":
            states.setdefault("firing", time.time())
        return webhook.told(name) is not None

    try:
        if not until(heard, patience):
            raise RuntimeError(f"{name}: no word within {patience:g} s; it was {states or 'never pending'}")
    finally:
        mended = time.time()
        mend()
    told = webhook.told(name).at

    def over() -> bool:
        if name not in prometheus.alerts():
            states.setdefault("well", time.time())
        return webhook.told(name, "resolved") is not None

    if not until(over, patience):
        raise RuntimeError(f"{name}: not resolved within {patience:g} s")
    resolved = webhook.told(name, "resolved").at
    scrapes = prometheus.range("timestamp(up{job='inspection'})", begun, resolved + every, every)
    stamps = np.unique([t for points in scrapes.values() for _, t in points])
    after = stamps[stamps > breach]
    lines = {
        one: [(float(t - breach), float(v)) for points in prometheus.range(one, begun, resolved + every).values()
              for t, v in points if np.isfinite(v)]
        for one in series
    }  # fmt: skip
    at = {
        "scraped": float(after.min()) if len(after) else breach, "over": states.get("over", told),
        "firing": states.get("firing", told), "told": told, "mended": mended,
        "well": min(states.get("well", resolved), resolved), "resolved": resolved,
    }  # fmt: skip
    return Alarm(quiet, **{key: float(moment - breach) for key, moment in at.items()}, early=early, series=lines)
