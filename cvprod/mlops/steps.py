"""The six steps from a drift to a new champion, each with one effect on a system outside the pipeline.

    label -> retrain -> gate -> register -> canary -> finish

A step is a plain function: what the steps before it found in, what it found out, as JSON. An orchestrator calls them
(`pipeline`), records what they return, and knows no more than that. So a process that dies between the effect and the
record makes the step run again, under any orchestrator, and the step must know what it has done: `once` gives the
effect an idempotency key, made of the event and the step.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cvprod.files import write_atomic

from . import gates, heads
from .outside import Outside
from .tiles import Embedded

if TYPE_CHECKING:
    from .registry import Registry

T = TypeVar("T")
#: Where a process is to die: "register:after", say. Read when a step gets there.
KILL = "CVPROD_KILL"
#: What each step does outside, as `effects` counts it.
EFFECTS = {
    "label": "label orders",
    "retrain": "finished training runs",
    "gate": "gate reports",
    "register": "model versions",
    "canary": "canary routes",
    "finish": "notices to the plant",
}


@dataclass(frozen=True)
class Site:
    """A folder with everything one line keeps: data sets, events, the registry, the book of the systems outside.

    keys: whether effects carry idempotency keys. They always should; the kill matrix shows why.
    """

    folder: Path
    keys: bool = True

    @cached_property
    def outside(self) -> Outside:
        return Outside(self.folder / "outside.db")

    @cached_property
    def registry(self) -> Registry:
        from .registry import Registry  # seconds, and most steps do without

        return Registry(self.folder)

    def data(self, name: str) -> Embedded:
        """A data set by its name. Raises FileNotFoundError that names the file."""
        with np.load(self.folder / "data" / f"{name}.npz", allow_pickle=False) as archive:
            return Embedded(archive["x"], archive["y"])

    def keep(self, name: str, tiles: Embedded) -> None:
        """Store a data set under a name."""
        path = self.folder / "data" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=tiles.x, y=tiles.y)

    def event(self, name: str) -> dict:
        """What set the pipeline off. Raises ValueError for an event that is not there."""
        path = self.folder / "events" / f"{name}.json"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
            raise ValueError(f"no event {name!r} in {path.parent}; there are: {known}.")
        return json.loads(path.read_text("utf-8"))

    def effects(self, event: str) -> dict[str, int]:
        """How often each step's effect has happened for an event, as the systems outside tell it."""
        done = [row for row in self.outside.log() if row["event"] == event]
        counts = {step: sum(row["system"] == name for row in done) for step, name in EFFECTS.items()}
        finished = f"tags.event = '{event}' and attributes.status = 'FINISHED'"
        client, experiment = self.registry.client, self.registry.experiment
        counts["retrain"] = len(client.search_runs([experiment], finished))
        counts["register"] = len(client.search_model_versions(f"name = 'steel' and tag.event = '{event}'"))
        return counts

    def state(self) -> dict:
        """What must be the same however often somebody was killed: who is champion, and what the box serves."""
        champion, candidate = self.registry.named("champion"), self.registry.named("candidate")
        served = self.folder / "served" / "steel.json"
        return {
            "champion": champion and champion.tags["event"],
            "candidate": candidate and candidate.tags["event"],
            "champion_sha256": champion and champion.tags["sha256"],
            "served_sha256": json.loads(served.read_text("utf-8"))["sha256"] if served.is_file() else None,
        }


def once(
    site: Site, step: str, event: str, effect: Callable[[str | None], T], found: Callable[[], T | None] = lambda: None
) -> T:
    """Have a step's effect, once for each event.

    Args:
        effect: has it, given the idempotency key, and returns what came of it.
        found: for a system that takes no keys: looks whether it happened, and returns what came of it or None. That is
            enough where one process at a time works on an event, which the pipeline's lock sees to.
    """
    _perhaps_die(step, "before")
    key = f"{event}:{step}" if site.keys else None
    done = found() if site.keys else None
    done = effect(key) if done is None else done
    _perhaps_die(step, "after")
    return done


def _perhaps_die(step: str, when: str) -> None:
    if os.environ.get(KILL) == f"{step}:{when}":
        os.kill(os.getpid(), signal.SIGKILL)


def label(site: Site, event: Mapping, found: Mapping) -> dict:
    """Order true labels for tiles of the drifted window: the first part trains, the rest judges."""
    n = len(site.data(event["window"]))
    if n < 200:
        raise ValueError(f"the window {event['window']!r} has {n} tiles; 200 are the least to train and to judge on.")
    asked = {"event": event["id"], "window": event["window"], "tiles": n}
    order = once(site, "label", event["id"], lambda key: site.outside.do(EFFECTS["label"], asked, key))
    return {"order": order, "train": [0, n * 2 // 3], "judge": [n * 2 // 3, n]}


def retrain(site: Site, event: Mapping, found: Mapping) -> dict:
    """Fit a new last layer on the old data and the new labels, and log it with both."""
    labelled, reference = site.data(event["window"])[slice(*found["train"])], site.data("reference")
    if event.get("plant") == "shuffled labels":  # a fault for the gate to find: a join on the wrong column, say
        labelled = Embedded(labelled.x, np.random.default_rng(0).permutation(labelled.y))
    champion = heads.head_of(site.registry.file(_champion(site)))
    both = reference + labelled
    # The day's line counts as much as everything before it, however many tiles were labelled.
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in (reference, labelled)])

    def train(key: str | None) -> str:
        head = heads.fit(both.x, both.y, champion, weights=weights)
        return site.registry.log(
            heads.shipped().with_head(head),
            event=event["id"],
            data={"reference": reference, event["window"]: labelled},
            params={"what": "last layer", "tiles": len(both)},
            metrics={"accuracy on its own tiles": head.accuracy(both.x, both.y)},
        )

    return {"run": once(site, "retrain", event["id"], train, lambda: site.registry.run_of(event["id"]))}


def gate(site: Site, event: Mapping, found: Mapping) -> dict:
    """Judge the candidate on fresh tiles and on yesterday's, against champion and contract; file the report."""
    before, after = _heads(site, found)
    sets = {"fresh": site.data(event["window"])[slice(*found["judge"])], "reference": site.data("reference test")}
    verdict = gates.gate({name: (s.y, before.predict(s.x), after.predict(s.x)) for name, s in sets.items()})
    report = {"event": event["id"], **verdict.plain()}
    once(site, "gate", event["id"], lambda key: site.outside.do(EFFECTS["gate"], report, key))
    return {"gate": verdict.decision, "reasons": list(verdict.reasons), "evidence": dict(verdict.evidence)}


def register(site: Site, event: Mapping, found: Mapping) -> dict:
    """Make the candidate a version of the registry, if the gate let it through."""
    if found["gate"] != "pass":
        return {"version": None}
    version = once(
        site, "register", event["id"], lambda key: site.registry.register(found["run"]),
        lambda: site.registry.version_of(event["id"]),
    )  # fmt: skip
    site.registry.point("candidate", version)
    return {"version": version}


def canary(site: Site, event: Mapping, found: Mapping) -> dict:
    """Give the candidate a share of the traffic, and decide by audited tiles that both models answer."""
    if found["version"] is None:
        return {"canary": "not begun"}
    route = {"event": event["id"], "version": found["version"], "share": 0.05}
    once(site, "canary", event["id"], lambda key: site.outside.do(EFFECTS["canary"], route, key))
    audited = site.data(event["audit"])
    before, after = _heads(site, found)
    verdict = gates.canary(audited.y, before.predict(audited.x), after.predict(audited.x))
    return {"canary": verdict.decision, "canary_reasons": list(verdict.reasons)}


def finish(site: Site, event: Mapping, found: Mapping) -> dict:
    """Promote or roll back, and tell the plant. The alias may be set twice; a notice must not come twice."""
    promoted = found["canary"] == "promote"
    if promoted:
        _serve(site, found["version"])
        site.registry.point("champion", found["version"])
    if found["version"] is not None and found["canary"] != "hold":
        site.registry.point("candidate", None)
    decision = {"promote": "promoted", "roll back": "rolled back", "hold": "held"}.get(found["canary"], "refused")
    why = found.get("canary_reasons") or found["reasons"]
    notice = {"event": event["id"], "decision": decision, "version": found["version"], "why": why}
    once(site, "finish", event["id"], lambda key: site.outside.do(EFFECTS["finish"], notice, key))
    return {"decision": decision}


STEPS = (label, retrain, gate, register, canary, finish)


def outcome(site: Site, event: str) -> dict:
    """What the plant was told about an event: decision, version and why. Raises LookupError before it was told."""
    told = [row for row in site.outside.log(EFFECTS["finish"]) if row["event"] == event]
    if not told:
        raise LookupError(f"the event {event!r} has not come to its end.")
    return {name: told[-1][name] for name in ("decision", "version", "why")}


def _champion(site: Site) -> str:
    found = site.registry.named("champion")
    if found is None:
        raise ValueError(f"{site.folder}: no version is called champion; prepare the site first (`mlops.site`).")
    return str(found.version)


def _heads(site: Site, found: Mapping) -> tuple[heads.Head, heads.Head]:
    """The champion's last layer and the candidate's, read back from what the run logged."""
    registry = site.registry
    return heads.head_of(registry.file(_champion(site))), heads.head_of(registry.file_of_run(found["run"]))


def _serve(site: Site, version: str) -> None:
    """Put a version's file at the line, with a card that names it, where the service looks for its model."""
    from cvprod.serving import model as serving
    from cvprod.surface import CLASSES

    data = site.registry.file(version)
    folder = site.folder / "served"
    folder.mkdir(exist_ok=True)
    name = f"steel-{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    write_atomic(folder / name, data)
    with np.load(site.folder / "data" / "calibration.npz", allow_pickle=False) as tiles:
        serving.calibrate(  # writes the card last: it never names a file that is still being written
            folder / name, folder / "steel.json", name="steel", version=f"registry.{version}",
            classes=CLASSES, tiles=tiles["images"], labels=tiles["y"],
        )  # fmt: skip


def prepare(folder: Path, *, window: str = "faster strip") -> Site:
    """Make a site: its data, the shipped network as version 1 and champion, one drift event, and one with a fault.

    window: the regime of `tiles.REGIMES` that the line has drifted to. Raises FileExistsError for a folder in use.
    """
    from cvprod.surface import make_set

    from .tiles import REGIMES, pool

    if (folder / "mlflow.db").exists():
        raise FileExistsError(f"{folder} is a site already: name a new folder.")
    site = Site(folder)
    routine, drifted = pool("routine"), pool(window)
    site.keep("reference", routine[:360])
    site.keep("reference test", routine[360:])
    site.keep("window", drifted[:480])
    site.keep("audit", drifted[480:])
    calibration = make_set(140, 700, conditions=REGIMES[window])
    np.savez(folder / "data" / "calibration.npz", images=calibration.images, y=calibration.labels)
    shipped = heads.shipped()
    reference = site.data("reference")
    run = site.registry.log(
        shipped.with_head(shipped.head), event="first", data={"reference": reference},
        metrics={"accuracy on its own tiles": shipped.head.accuracy(reference.x, reference.y)},
    )  # fmt: skip
    version = site.registry.register(run)
    site.registry.point("champion", version)
    _serve(site, version)
    for name, plant in (("drift-1", None), ("drift-2", "shuffled labels")):
        write_event(site, name, window="window", audit="audit", plant=plant)
    return site


def write_event(site: Site, name: str, *, window: str, audit: str, plant: str | None = None) -> Path:
    """What a drift detector leaves behind: which window it saw. The name is the idempotency key of all that follows."""
    path = site.folder / "events" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    event = {"id": name, "window": window, "audit": audit, "plant": plant}
    write_atomic(path, json.dumps(event, indent=1).encode())
    return path
