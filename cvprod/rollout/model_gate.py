"""The gate before the roll-out: may this model be merged at all?

A pull request that changes weights must bring a model that keeps the contract's limits for quality and size, and is not
worse than the one that serves, on tiles with known labels that neither has been trained on. What is not proven on these
tiles does not pass; more tiles may prove it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvprod import contract
from cvprod.rollout.gates import ALPHA
from cvprod.rollout.sequential import evidence
from cvprod.serving.model import Model
from cvprod.surface import TileSet

QUALITY = ("defect_recall", "false_reject_rate")


@dataclass(frozen=True)
class Judgement:
    """passed: bool; lines: one sentence a question, each led by "pass" or "FAIL"; accuracies and numbers of tiles."""

    passed: bool
    lines: tuple[str, ...]
    stable_accuracy: float
    candidate_accuracy: float
    tiles: int


def judge(
    stable: Path, candidate: Path, tiles: TileSet, *, margin: float = 0.02, alpha: float = ALPHA,
    limits: contract.Contract | None = None,
) -> Judgement:  # fmt: skip
    """Hold a candidate against the contract and against the model that serves.

    stable, candidate: cards, or ONNX files with a card beside them. tiles: uint8 (n, 1, 96, 96) with labels, the same
    for both. margin: the loss in accuracy that would be too much. Raises ModelError for a model that must not serve.
    """
    from cvprod.models import Evaluation  # which imports PyTorch; the gates of a live service do without

    limits = limits or contract.load_contract()
    models = {"stable": Model.load(stable), "candidate": Model.load(candidate)}
    right, found = {}, {}
    for name, model in models.items():
        logits = np.concatenate([model.run(tiles.images[i : i + 64]) for i in range(0, len(tiles), 64)])
        found[name] = Evaluation(logits, np.asarray(tiles.labels))
        right[name] = logits.argmax(1) == tiles.labels
    size = (Path(candidate).parent / models["candidate"].card.file).stat().st_size
    ours = found["candidate"]
    measured = {name: ours.rate(name) for name in QUALITY} | {"model_size_mb": size / 1e6}
    checks = limits.check(measured, {name: ours.interval(name) for name in QUALITY})
    answers = [
        (check.ok, f"{check.name} {check.measured:.4g} {check.sign} {check.limit:g}: {check.status}")
        for check in checks
        if check.name in measured
    ]
    d = right["stable"].astype(float) - right["candidate"]
    harmless = float(evidence(-d, -margin).max())
    answers.append((
        harmless >= 1 / alpha,
        f"not worse than version {models['stable'].version} by {margin * 100:g} points: evidence {harmless:.3g}, "
        f"needed {1 / alpha:g}, on {len(d)} tiles",
    ))  # fmt: skip
    return Judgement(
        all(ok for ok, _ in answers),
        tuple(f"{'pass' if ok else 'FAIL'}  {text}" for ok, text in answers),
        found["stable"].accuracy,
        ours.accuracy,
        len(d),
    )
