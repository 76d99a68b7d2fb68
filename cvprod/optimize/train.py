"""Rebuild everything that `weights/` ships: the student, the pruned student, the searched one and the INT8 file."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from cvprod import measure
from cvprod.models import BASELINE, Evaluation, WeightsError, evaluate, load, predictor
from cvprod.models import card as model_card
from cvprod.models.data import generator_version
from cvprod.models.weights import half_state

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


def train_all(config: PipelineConfig, *, anew: bool = False, progress: bool = True, folder: Path = zoo.WEIGHTS) -> None:
    """Run the pipeline, train the searched architecture the same way, and ship all four files.

    anew: search for widths again. What a search finds depends on what this machine takes to run each network, so by
    default those of the shipped card are trained: a rebuild should give what it rebuilds.
    """
    shape = None if anew else _shipped_shape()
    teacher, test = load(BASELINE), book_tiles("test", config.test_tiles)
    raw = book_tiles("train", config.tiles, conditions=config.conditions)
    with measure.threads(config.threads):
        logits = ask(predictor(teacher), raw.images, progress=progress)
        data = TrainingSet(raw.images, raw.labels, logits)
        with tempfile.TemporaryDirectory() as scratch:
            made = run_pipeline(config, teacher=teacher, data=data, test=test, folder=scratch, progress=progress)
            ship(made.student, made.pruned, config, data, made["teacher"].evaluation, folder=folder)
        torch.manual_seed(config.seed)
        found = student(**(shape or searched_shape(data, config)))
        fit(found, data, steps=config.steps, lr=config.lr, batch=config.batch, seed=config.seed, progress=progress)
        ship_student("student_nas", found, config, made["teacher"].evaluation, "Student of searched widths.", folder)


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


def ship_student(
    name: str, model: nn.Module, config: PipelineConfig, baseline: Evaluation, what: str, folder: Path
) -> Evaluation:
    """Round to float16, test what is shipped, write it."""
    model.load_state_dict(half_state(model))
    judged = evaluate(predictor(model.eval()), book_tiles("test", config.test_tiles))
    zoo.save_student(name, model, describe(what, config, judged, baseline), folder=folder)
    print(f"{name}: {judged.accuracy:.2%} on {judged.n} tiles (teacher {baseline.accuracy:.2%}), {widths(model)}")
    return judged


def ship(
    whole: nn.Module,
    pruned: nn.Module,
    config: PipelineConfig,
    data: TrainingSet,
    baseline: Evaluation,
    *,
    folder: Path = zoo.WEIGHTS,
) -> None:
    """Write the student, the pruned student, and the INT8 file made from the rounded pruned student."""
    ship_student("student", whole, config, baseline, "Student distilled from the baseline.", folder)
    ship_student("student_pruned", pruned, config, baseline, "The student without its weakest channels.", folder)
    calibration = data.images[:: max(1, len(data.images) // config.calibration)][: config.calibration]
    with tempfile.TemporaryDirectory() as scratch:
        path = int8(pruned, Path(scratch) / "pipeline.onnx", calibration, method=config.method)
        judged = evaluate(onnx_predict(path), book_tiles("test", config.test_tiles))
        what = "The pruned student in INT8 (static QDQ, ONNX Runtime): the final model of the pipeline."
        zoo.save_pipeline(path, describe(what, config, judged, baseline), folder=folder)
    print(f"pipeline: {judged.accuracy:.2%} on {judged.n} tiles (teacher {baseline.accuracy:.2%})")
