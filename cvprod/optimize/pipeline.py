"""The complete pipeline: distil, prune, fine-tune, INT8, as one function."""

from __future__ import annotations

import copy
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cvprod import measure
from cvprod.models import BASELINE, load, predictor
from cvprod.models.data import cached_set
from cvprod.models.evaluation import Evaluation, Predict, evaluate
from cvprod.surface import SPLITS, TileSet, tiles

from .distill import TrainingSet, ask, fit
from .fuse import export, onnx_predict, with_weights
from .prune import channels, state_bytes
from .quantize import static_qdq
from .student import student

HEAD = ("Gemm",)  # seven numbers a tile: nothing to gain in INT8, and the logits keep their resolution


@dataclass(frozen=True)
class PipelineConfig:
    """Everything that decides what the pipeline makes.

    The defaults are the recipe of the shipped files. tiles: generated training tiles.
    steps, tune_steps: training steps of the distillation and after pruning. prune_ratio: share of channels to take.
    faint: share of the textures that are also shown fainter after pruning, as real ones often are (`distill.faded`).
    calibration: tiles that set the INT8 ranges. test_tiles: on which every step is judged. threads: of PyTorch.
    """

    tiles: int = 32_000
    steps: int = 4_000
    tune_steps: int = 6_000
    prune_ratio: float = 0.25
    faint: float = 0.5
    lr: float = 3e-3
    batch: int = 64
    calibration: int = 512
    method: str = "minmax"
    test_tiles: int = 2_002
    conditions: str = "mixed"
    threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "tune_steps", "batch", "calibration", "test_tiles", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.tiles < 2:
            raise ValueError(f"tiles must be at least 2, half of them of the wide line, got {self.tiles}")
        if not 0 <= self.faint <= 1:
            raise ValueError(f"faint is a share of the textures, from 0 to 1, got {self.faint}")
        if not 0 <= self.prune_ratio < 1:
            raise ValueError(f"prune_ratio is a share of the channels, from 0 to below 1, got {self.prune_ratio}")


@dataclass(frozen=True)
class Step:
    """What one step of the pipeline made: a `predict` function, its test, its bytes on disk, and the time it took."""

    name: str
    predict: Predict = field(repr=False)
    evaluation: Evaluation = field(repr=False)
    size_bytes: int
    parameters: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of test tiles given their own class."""
        return self.evaluation.accuracy


@dataclass(frozen=True)
class PipelineResult:
    """The steps in order (the teacher first), the two float32 networks, and the INT8 file."""

    steps: list[Step]
    student: nn.Module = field(repr=False)
    pruned: nn.Module = field(repr=False)
    path: Path

    def __getitem__(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)


def book_tiles(split: str, n: int, *, conditions: str = "routine") -> TileSet:
    """`cvprod.surface.tiles`, but generated tiles are kept on disk between runs.

    conditions "mixed" gives half routine, half wide tiles: the line as it is, and room for what it may become.
    """
    if os.environ.get("CVPROD_DATA"):
        return tiles(split, n)
    if conditions != "mixed":
        return cached_set(n, SPLITS[split], conditions=conditions)
    parts = [cached_set(n - n // 2, SPLITS[split], conditions="routine")]
    parts.append(cached_set(n // 2, SPLITS[split] + 10, conditions="wide"))
    images, labels = (np.concatenate([getattr(part, key) for part in parts]) for key in ("images", "labels"))
    return TileSet(images, labels, [box for part in parts for box in part.boxes])


def run_pipeline(
    config: PipelineConfig = PipelineConfig(),
    *,
    teacher: nn.Module | None = None,
    ask_teacher: Predict | None = None,
    start: nn.Module | None = None,
    data: TrainingSet | None = None,
    test: TileSet | None = None,
    folder: str | Path | None = None,
    graph: str | Path | None = None,
    progress: bool = False,
) -> PipelineResult:
    """Distil -> prune -> fine-tune -> INT8, each step judged on the same test tiles.

    teacher: by default the shipped baseline. ask_teacher: its answers from a quicker runtime, by default PyTorch.
    start: a trained student with which to begin at pruning. data, test: by default as the configuration says.
    folder: where `pipeline.onnx` is written, by default a new temporary one. graph: an exported file of a student, from
    which the pruned one takes its graph (see `fuse.with_weights`): an export takes seconds.
    """
    folder = Path(folder or tempfile.mkdtemp(prefix="cvprod-pipeline-"))
    teacher = teacher or load(BASELINE)
    ask_teacher = ask_teacher or predictor(teacher)
    test = test or book_tiles("test", config.test_tiles)
    steps: list[Step] = []

    def judge(name: str, predict: Predict, size: int, model: nn.Module, begun: float) -> None:
        took = time.perf_counter() - begun
        parameters = sum(p.numel() for p in model.parameters())
        with measure.threads(1):
            seen = evaluate(predict, test, workers=config.threads)
        steps.append(Step(name, predict, seen, size, parameters, took))

    with measure.threads(config.threads):
        begun = time.perf_counter()
        if data is None:
            raw = book_tiles("train", config.tiles, conditions=config.conditions)
            data = TrainingSet(raw.images, raw.labels, ask(ask_teacher, raw.images, progress=progress))
        judge("teacher", ask_teacher, state_bytes(teacher), teacher, begun)

        begun = time.perf_counter()
        if start is None:
            torch.manual_seed(config.seed)
            start = student()
            fit(start, data, steps=config.steps, lr=config.lr, batch=config.batch, seed=config.seed, progress=progress)
        judge("distilled", predictor(start), state_bytes(start), start, begun)

        begun = time.perf_counter()
        pruned = channels(start, config.prune_ratio)
        judge("pruned", predictor(pruned), state_bytes(pruned), pruned, begun)

        begun = time.perf_counter()
        pruned = copy.deepcopy(pruned)  # the step before keeps its own weights
        tuning = {"steps": config.tune_steps, "lr": config.lr / 2, "batch": config.batch, "seed": config.seed + 1}
        fit(pruned, data, faint=config.faint, progress=progress, **tuning)
        judge("fine-tuned", predictor(pruned), state_bytes(pruned), pruned, begun)

        begun = time.perf_counter()
        calibration = data.images[:: max(1, len(data.images) // config.calibration)][: config.calibration]
        path = int8(pruned, folder / "pipeline.onnx", calibration, method=config.method, graph=graph)
        judge("int8", onnx_predict(path), path.stat().st_size, pruned, begun)
    return PipelineResult(steps, start, pruned, path)


def int8(
    model: nn.Module, path: Path, calibration: np.ndarray, *, method: str = "minmax", graph: str | Path | None = None
) -> Path:
    """Export a student and quantise it for deployment: bytes in, convolutions in INT8, head in float."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "float.onnx"
        source = export(model, source) if graph is None else with_weights(graph, model, source)
        return static_qdq(source, path, calibration, exclude=HEAD, method=method, bytes_in=True)
