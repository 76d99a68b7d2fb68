"""Who may replace the champion: a gate before a candidate is registered, a paired sequential test while it is a canary.

Both fail closed. A number that is missing, not finite or from too few tiles never lets a candidate through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from cvprod.contract import Contract, load_contract
from cvprod.measure import wilson
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
        for check in contract.check(shares, spread):
            if check.name in counted and check.status in ("broken", "not measured"):
                reasons.append(f"{name}: {check.name} is {check.status}, {check.measured} where {check.limit} is due")
    return Verdict("refuse" if reasons else "pass", tuple(reasons), evidence)


BETS = np.linspace(0.05, 0.95, 19)


def evidence_of_harm(champion_right: np.ndarray, candidate_right: np.ndarray) -> np.ndarray:
    """The running e-value against "the candidate is not worse", after each pair of answers to the same tile.

    Only tiles on which the two disagree count. Under the hypothesis each is lost with probability 1/2 at most, and a bet
    on a loss gains nothing on average; the mean over many stakes is a test that may be looked at after every label.
    Above 1/alpha it errs with probability alpha at most. Source: I. Waudby-Smith and A. Ramdas, "Estimating means of
    bounded random variables by betting", JRSS B 86(1), 2024.
    """
    lost = np.asarray(champion_right, float) - np.asarray(candidate_right, float)  # 1 lost, -1 won, 0 no news
    wealth = np.cumsum(np.log1p(BETS * lost[:, None]), axis=0)
    return np.exp(wealth).mean(1)


def canary(
    champion_right: np.ndarray, candidate_right: np.ndarray, *, least: int = 150, alpha: float = 0.05
) -> Verdict:
    """Decide on a candidate from audited tiles that both models answered, in the order in which they came.

    Returns "roll back" as soon as the evidence of harm reaches 1/alpha; "hold" with fewer than `least` pairs, or with
    none that can be compared; else "promote".
    """
    a, b = np.asarray(champion_right, float), np.asarray(candidate_right, float)
    if len(a) != len(b) or not np.isfinite(a).all() or not np.isfinite(b).all():
        return Verdict("hold", ("the audited answers are not whole: nothing to decide on",), {"pairs": len(a)})
    harm = evidence_of_harm(a, b) if len(a) else np.zeros(1)
    numbers = {"pairs": len(a), "lost": int((a > b).sum()), "won": int((b > a).sum()), "harm": float(harm.max())}
    if harm.max() >= 1 / alpha:
        when = int(np.argmax(harm >= 1 / alpha)) + 1
        return Verdict("roll back", (f"worse than the champion, sure after {when} labels",), numbers | {"after": when})
    if len(a) < least:
        return Verdict("hold", (f"{len(a)} audited tiles, {least} are needed",), numbers)
    return Verdict("promote", (f"no harm in {len(a)} audited tiles",), numbers)
