"""Who may replace the champion: a gate before a candidate is registered, the roll-out's own while it is a canary.

Both fail closed. A number that is missing, not finite or from too few tiles never lets a candidate through.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from cvprod.contract import Contract, load_contract
from cvprod.measure import wilson
from cvprod.rollout import gates as rollout
from cvprod.surface import CLASSES

CLEAN = CLASSES.index("clean")


@dataclass(frozen=True)
class Verdict:
    """decision: "pass" or "refuse" of a gate; "promote", "roll back" or "hold" of a canary. reasons: for people.

    evidence: the numbers behind it.
    """

    decision: str
    reasons: tuple[str, ...]
    evidence: Mapping[str, float]

    def plain(self) -> dict:
        """As a mapping for JSON."""
        return asdict(self) | {"reasons": list(self.reasons), "evidence": dict(self.evidence)}


def rates(predicted: np.ndarray, labels: np.ndarray) -> dict[str, tuple[int, int]]:
    """(hits, of how many) for the contract's two error rates."""
    defect, called = labels != CLEAN, predicted != CLEAN
    return {
        "defect_recall": (int((called & defect).sum()), int(defect.sum())),
        "false_reject_rate": (int((called & ~defect).sum()), int((~defect).sum())),
    }


def gate(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    contract: Contract | None = None,
    least: int = 100,
    margin: float = 0.02,
) -> Verdict:
    """Judge a candidate against the contract and the champion.

    Args:
        sets: name -> (labels, the champion's classes, the candidate's classes), each int (N,), of tiles that trained
            neither. Name the first one "fresh": there, where the line is now, the candidate must be better.
        least: tiles that a set needs.
        margin: how much worse than the champion, as a share, the candidate might be on any set: refused where the
            upper end of the paired 95 % interval of its difference lies below `-margin`, or where no gain shows.

    Returns:
        "pass", or "refuse" with every reason.
    """
    contract, reasons, evidence = contract or load_contract(), [], {}
    if "fresh" not in sets:
        reasons.append("no fresh tiles: nobody knows how it does on today's line")
    for name, (labels, champion, candidate) in sets.items():
        n = len(labels)
        if n < least or len(champion) != n or len(candidate) != n:
            reasons.append(f"{name}: {n} labelled tiles and as many answers, at least {least} are needed")
            continue
        gain = (candidate == labels).astype(float) - (champion == labels)
        half = 1.96 * gain.std() / np.sqrt(n)
        evidence |= {f"{name}.champion": float((champion == labels).mean()), f"{name}.gain": float(gain.mean())}
        evidence[f"{name}.candidate"] = float((candidate == labels).mean())
        if gain.mean() + half < -margin or (name == "fresh" and gain.mean() <= 0):
            reasons.append(f"{name}: {gain.mean():+.1%} against the champion (95 % interval ± {half:.1%})")
        counted = rates(candidate, labels)
        shares = {metric: hits / total if total else None for metric, (hits, total) in counted.items()}
        spread = {metric: wilson(*counted[metric]) for metric in counted if shares[metric] is not None}
        reasons += [
            f"{name}: {check.name} is {check.status}, {_percent(check.measured)}; the limit is {check.limit:.0%}"
            for check in contract.check(shares, spread)
            if check.name in counted and check.status in ("broken", "not measured")
        ]
    return Verdict("refuse" if reasons else "pass", tuple(reasons), evidence)


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{share:.1%}"


def canary(
    truth: np.ndarray, champion: np.ndarray, candidate: np.ndarray, *, margin: float = 0.02, alpha: float = 0.05
) -> Verdict:
    """Ask the roll-out's quality gate about audited tiles that both models answered, in the order in which they came.

    truth, champion, candidate: classes, int (N,) each. Returns "roll back" where the evidence of harm suffices,
    "promote" where there is as much evidence that the candidate is not worse by `margin`, and else "hold".
    """
    question = rollout.Gate("quality", rollout.wrong, margin, alpha=alpha, beta=alpha, silence=math.inf)
    for true, old, new in zip(truth, champion, candidate, strict=True):
        question.add(rollout.Pair(rollout.Answer(200, CLASSES[old]), rollout.Answer(200, CLASSES[new]), CLASSES[true]))
    found = question.reading
    decision = {"stop": "roll back", "pass": "promote", "hold": "hold"}[found.decision.value]
    numbers = {"pairs": found.pairs, "evidence of harm": found.worse, "evidence of none": found.harmless}
    return Verdict(decision, (found.why,), numbers)
