"""When to retrain: policies compared on one simulated year, by the accuracy of whichever model was live.

The measure is the *composite* model's accuracy, the mean over the year of the model that was live at each moment,
against the number of trainings (M. Boether and others, "Modyn: Data-Centric Machine Learning Pipeline Orchestration",
arXiv:2312.06254). What a policy may look at in week w is exactly what a plant has then: unlabelled windows up to w, and
audited labels up to w minus their delay. The year's own labels are for the score alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvprod.measure import wilson
from cvprod.monitoring.detectors import ks
from cvprod.surface import CLASSES

from . import heads
from .tiles import REGIMES, Embedded, pool

WEEKS = 52
AUDITED = 20  # labels a week that the routine audit gives, and that everybody gets
DELAY = 2  # weeks until they are there
LOOK = 100  # labels that a policy orders when it wants to know now
BOUGHT = 240  # labels of the current line that a training orders; a third of them judges it


@dataclass(frozen=True)
class Chapter:
    """A part of the year: from which week, under which regime, and which defects the customer accepts."""

    start: int
    regime: str
    accepts: tuple[str, ...] = ()


#: The year. Somebody tunes the camera, which changes every picture and hardly an answer; the strip gets faster; the
#: lens slips; a customer accepts crazing, which no picture shows.
YEAR = (
    Chapter(0, "routine"),
    Chapter(9, "camera tuned"),
    Chapter(18, "faster strip"),
    Chapter(30, "lens slips"),
    Chapter(41, "lens slips", accepts=("crazing",)),
)


@dataclass(frozen=True, eq=False)
class Week:
    """What one week brings: `seen` tiles score the live model and are its window; `audited` ones get labels later.

    `stock` are tiles of the same line whose labels a training may order, `spare` those for a look in between; no tile
    is in two of them, or an audit would praise what it trained. `accepts` are the defects that the
    customer has come to accept: whoever labels calls them clean, and old labels are read by the same rule.
    """

    number: int
    name: str
    seen: Embedded
    audited: Embedded
    stock: Embedded
    spare: Embedded
    accepts: tuple[str, ...] = ()


def simulate(seed: int = 0, *, tiles: int = 240, window: int = 60, year: Sequence[Chapter] = YEAR) -> list[Week]:
    """Draw a year. Tiles that train, that are audited and that score never mix.

    tiles: of each regime that score; as many more are audited, and as many train. window: tiles seen each week.
    """
    rng, weeks = np.random.default_rng(seed), []
    pools = {name: pool(name, 3 * tiles) for name in REGIMES}
    for number in range(WEEKS):
        part = max((c for c in year if c.start <= number), key=lambda c: c.start)
        made = by_rule(pools[part.regime], part.accepts)
        scores, audits, stock = made[:tiles], made[tiles : 2 * tiles], made[2 * tiles :]
        seen = scores[rng.choice(tiles, window, replace=False)]
        looked = rng.permutation(tiles)
        audited, spare = audits[looked[:AUDITED]], audits[looked[AUDITED : AUDITED + LOOK]]
        name = part.regime + "".join(f", {defect} accepted" for defect in part.accepts)
        weeks.append(Week(number, name, seen, audited, stock, spare, part.accepts))
    return weeks


def by_rule(tiles: Embedded, accepts: Sequence[str]) -> Embedded:
    """The same tiles, labelled by people who call these defects clean."""
    accepted = np.isin(tiles.y, [CLASSES.index(name) for name in accepts])
    return Embedded(tiles.x, np.where(accepted, CLASSES.index("clean"), tiles.y))


@dataclass
class Known:
    """What a policy may know in a week, since the last training."""

    week: int
    since: int  # weeks since the last training
    drift: float  # KS of this week's window against the reference, as a multiple of its threshold
    errors: int  # among the audited labels that have arrived for weeks after the training
    labels: int
    promised: float  # error rate that the live model had when it was trained


Policy = Callable[[Known], str]  # "wait", "train", or "look": order an audit now, and decide by it


def never(known: Known) -> str:
    """Leave it alone."""
    return "wait"


def monthly(known: Known) -> str:
    """Every fourth week, whatever happens."""
    return "train" if known.since >= 4 else "wait"


def drift(known: Known) -> str:
    """When this week's window differs from the tiles of the last training."""
    return "train" if known.drift > 1 else "wait"


def label_error(known: Known) -> str:
    """When the audited labels of the last weeks show more errors than the training promised."""
    return "train" if worse_than_promised(known.errors, known.labels, known.promised) else "wait"


def both(known: Known) -> str:
    """Drift asks, labels decide: a changed window orders an audit at once; only errors order a training."""
    if worse_than_promised(known.errors, known.labels, known.promised):
        return "train"
    return "look" if known.drift > 1 else "wait"


POLICIES: dict[str, Policy] = {
    "never": never, "monthly": monthly, "drift": drift, "label error": label_error, "both": both,
}  # fmt: skip


def worse_than_promised(errors: int, labels: int, promised: float, *, slack: float = 0.02) -> bool:
    """Whether the 95 % interval of the error rate lies above what was promised, and some slack."""
    return labels >= 20 and wilson(errors, labels)[0] > promised + slack


@dataclass
class Ledger:
    """How a policy fared: accuracy of the live model in each week, the weeks of its trainings, labels it ordered."""

    accuracy: list[float] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    labels: int = 0

    @property
    def composite(self) -> float:
        """Mean accuracy of whichever model was live."""
        return float(np.mean(self.accuracy))


def change(reference: Embedded, window: Embedded) -> float:
    """Largest KS statistic of the embeddings' columns. They are the backbone's, so that no training changes them."""
    return float(ks(reference.x, window.x).max())


def limit(reference: Embedded, window: int, seed: int = 0, *, draws: int = 300, false_alarms: float = 1.0) -> float:
    """The change that weekly windows of the reference's own line exceed `false_alarms` times a year.

    Each draw splits the reference at random. Sorted once, a split is a running count: the same statistic as `change`.
    """
    rng, n = np.random.default_rng(seed), len(reference)
    order = np.argsort(reference.x, axis=0)
    found = np.empty(draws)
    for i in range(draws):
        step = np.full(n, -1 / (n - window))
        step[rng.permutation(n)[:window]] = 1 / window
        found[i] = np.abs(np.cumsum(step[order], axis=0)).max()
    return float(np.quantile(found, 1 - false_alarms / WEEKS))


def play(policy: Policy, weeks: Sequence[Week], reference: Embedded, *, draws: int = 300) -> Ledger:
    """Run a policy through the year, beginning with the shipped network and the reference that it was made for.

    A training orders `BOUGHT` labels of the week's line; its model goes live the week after, and only where it is at
    least as good as the live one on a third of those labels that it has not seen. A drift that the labels found
    harmless becomes the new normal: its tiles join the reference, and nobody asks again.
    """
    head, base, told = heads.shipped().head, reference, Ledger()
    known, audits = Known(0, 0, 0.0, 0, 0, 0.03), []
    normal = base
    threshold = limit(normal, len(weeks[0].seen), draws=draws)
    for week in weeks:
        told.accuracy.append(head.accuracy(week.seen.x, week.seen.y))
        audits.append((week.number, week.audited))
        arrived = [a for number, a in audits[-8:] if number + DELAY <= week.number and number >= known.week][-4:]
        known.errors = sum(int((head.predict(a.x) != a.y).sum()) for a in arrived)
        known.labels = sum(len(a) for a in arrived)
        known.since = week.number - known.week
        known.drift = change(normal, week.seen) / threshold
        wish = policy(known)
        if wish == "look":
            told.labels += len(week.spare)
            errors = int((head.predict(week.spare.x) != week.spare.y).sum())
            wish = "train" if worse_than_promised(errors, len(week.spare), known.promised) else "wait"
            if wish == "wait":
                normal = week.stock
                threshold = limit(normal, len(week.seen), draws=draws)
        if wish == "train":
            told.trained.append(week.number)
            told.labels += BOUGHT
            known.week = week.number + 1
            fresh, judge = week.stock[: BOUGHT * 2 // 3], week.stock[BOUGHT * 2 // 3 : BOUGHT]
            new = _train(by_rule(base, week.accepts), fresh, head)
            if new.accuracy(judge.x, judge.y) >= head.accuracy(judge.x, judge.y):
                head = new
            known.promised = max(0.03, 1 - head.accuracy(judge.x, judge.y))
            normal = week.stock
            threshold = limit(normal, len(week.seen), draws=draws)
    return told


def _train(base: Embedded, fresh: Embedded, start: heads.Head) -> heads.Head:
    both = base + fresh
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in (base, fresh)])
    return heads.fit(both.x, both.y, start, weights=weights)
