"""Rebuild everything that `weights/` ships: the student, the pruned student, the searched one and the INT8 file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

from cvprod import measure
from cvprod.models import BASELINE, Evaluation, WeightsError, evaluate, load, predictor
from cvprod.models import card as model_card
from cvprod.models.data import generator_version
from cvprod.models.training import TOLERANCE, judge_shipped
from cvprod.models.weights import half_state
from cvprod.surface import TileSet

from . import zoo
from .distill import TrainingSet, ask, fit
from .fuse import onnx_predict
from .pipeline import PipelineConfig, book_tiles, int8, run_pipeline
from .search import pick, search
from .student import student, widths

LIMITS = [
    "Trained on generated tiles only; on real strip it needs to be judged, and probably trained, again.",
    "Knows what its teacher knows, mistakes included; its logits are not calibrated.",
    "Knows steel grade A; another grade, camera or light beyond the training conditions is drift.",
]
USE = "Sorting 96x96 grey tiles of hot-rolled steel strip: the optimisation chapter of Computer Vision in Production."


def describe(what: str, config: PipelineConfig, judged: Evaluation, baseline: Evaluation) -> dict:
    """The card of one shipped file."""
    return {
        "description": what,
        "intended_use": USE,
        "limits": LIMITS,
        "data": {"generator": generator_version(), "train": config.tiles, "conditions": config.conditions},
        "training": {
            "command": zoo.COMMAND,
            "recipe": asdict(config),
            "teacher": BASELINE,
            "teacher_sha256": model_card(BASELINE)["weights"]["sha256"],
        },
        "metrics": {"routine": judged.summary(), "teacher_routine_accuracy": round(baseline.accuracy, 5)},
    }


@dataclass(frozen=True)
class Made:
    """One new network, tested: its name, its `Evaluation`, and what writes it to `folder`."""

    name: str
    judged: Evaluation
    write: Callable[..., object] = field(repr=False)


def train_all(
    config: PipelineConfig,
    *,
    anew: bool = False,
    progress: bool = True,
    folder: Path = zoo.WEIGHTS,
    force: bool = False,
) -> None:
    """Run the pipeline, train the searched architecture the same way, and ship all four files.

    anew: search for widths again. What a search finds depends on what this machine takes to run each network, so by
    default those of the shipped card are trained: a rebuild should give what it rebuilds. What is worse than what is
    shipped is not written, see `ship`.
    """
    shape = None if anew else _shipped_shape()
    teacher, test = load(BASELINE), book_tiles("test", config.test_tiles)
    raw = book_tiles("train", config.tiles, conditions=config.conditions)
    with measure.threads(config.threads):
        logits = ask(predictor(teacher), raw.images, progress=progress)
        data = TrainingSet(raw.images, raw.labels, logits)
        with tempfile.TemporaryDirectory() as scratch:
            made = run_pipeline(config, teacher=teacher, data=data, test=test, folder=scratch, progress=progress)
            baseline = made["teacher"].evaluation
            chain = [
                rounded("student", made.student, config, test, baseline, "Student distilled from the baseline."),
                rounded("student_pruned", made.pruned, config, test, baseline, "The student, with fewer channels."),
                quantised(made.pruned, config, data, test, baseline, Path(scratch)),
            ]
            ship(chain, test, folder, force=force)  # together: each is made of the one before
        torch.manual_seed(config.seed)
        found = student(**(shape or searched_shape(data, config)))
        fit(found, data, steps=config.steps, lr=config.lr, batch=config.batch, seed=config.seed, progress=progress)
        searched = rounded("student_nas", found, config, test, baseline, "Student of searched widths.")
        ship([searched], test, folder, force=force)


def _shipped_shape() -> dict | None:
    """Widths on the card of the searched student, None where it has to be searched: there is no card to read."""
    try:
        return zoo.card("student_nas", folder=zoo.WEIGHTS)["training"]["shape"]
    except WeightsError:
        return None


def searched_shape(data: TrainingSet, config: PipelineConfig, *, trials: int = 8) -> dict:
    """Widths of the searched student: a longer study than the chapter's, on part of the training tiles."""
    few = TrainingSet(data.images[:4096], data.labels[:4096], None if data.teacher is None else data.teacher[:4096])
    study = search(few, book_tiles("val", 700), trials=trials, steps=60, seed=config.seed)
    return pick(study).user_attrs["shape"]


def rounded(
    name: str, model: nn.Module, config: PipelineConfig, test: TileSet, baseline: Evaluation, what: str
) -> Made:
    """A student as it would be shipped: rounded to float16 (in place), and tested so."""
    model.load_state_dict(half_state(model))
    judged = evaluate(predictor(model.eval()), test)
    print(f"{name}: {judged.accuracy:.2%} on {judged.n} tiles (teacher {baseline.accuracy:.2%}), {widths(model)}")
    card = describe(what, config, judged, baseline)
    return Made(name, judged, partial(zoo.save_student, name, model, card))


def quantised(
    pruned: nn.Module, config: PipelineConfig, data: TrainingSet, test: TileSet, baseline: Evaluation, scratch: Path
) -> Made:
    """The INT8 file, made from the rounded pruned student. It lies in `scratch` until it is written."""
    calibration = data.images[:: max(1, len(data.images) // config.calibration)][: config.calibration]
    path = int8(pruned, scratch / "shipped.onnx", calibration, method=config.method)
    judged = evaluate(onnx_predict(path), test)
    print(f"{zoo.PIPELINE}: {judged.accuracy:.2%} on {judged.n} tiles (teacher {baseline.accuracy:.2%})")
    what = "The pruned student in INT8 (static QDQ, ONNX Runtime): the final model of the pipeline."
    card = describe(what, config, judged, baseline)
    return Made(zoo.PIPELINE, judged, partial(zoo.save_pipeline, path, card))


def ship(made: list[Made], test: TileSet, folder: Path, *, force: bool = False) -> bool:
    """Write them all, or, where one is more than half a point worse on `test` than what is shipped, none.

    force: write them whatever they are worth. Returns whether they were written; both accuracies are printed.
    """
    worse = []
    for new in made:
        old = _shipped_accuracy(new.name, test, folder)
        if old is not None and new.judged.accuracy < old - TOLERANCE:
            worse.append(f"{new.name} has {new.judged.accuracy:.2%}, shipped is one of {old:.2%}")
    names = ", ".join(new.name for new in made)
    if worse and not force:
        print(f"Not written: {names}. Worse: {'; '.join(worse)} (--force replaces them).")
        return False
    for new in made:
        new.write(folder=folder)
    print(f"Written to {folder}: {names}")
    return True


def _shipped_accuracy(name: str, test: TileSet, folder: Path) -> float | None:
    """Of what lies in `folder`; None where there is nothing, or nothing that loads."""
    if name != zoo.PIPELINE:
        shipped = judge_shipped(name, folder, test)
        return None if shipped is None else shipped.accuracy
    try:
        return evaluate(onnx_predict(zoo.pipeline_path(folder)), test).accuracy
    except WeightsError:
        return None
