"""Every technique as a candidate, and all candidates measured side by side in one run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import torch
from torch import nn

from cvprod import measure
from cvprod.ledger import Row
from cvprod.models import BASELINE, Evaluation, WeightsError, evaluate, load, predictor
from cvprod.models.evaluation import Predict
from cvprod.surface import TileSet

from . import fuse, prune, quantize, zoo

SPARSITY = 0.5  # of the unstructured candidate: what the baseline bears without training on
FEWEST = 70  # tiles on which even the slowest candidate is judged: ten of each class


@dataclass(frozen=True)
class Candidate:
    """One way to run the case study: `predict` (uint8 (N, 1, 96, 96) -> logits), its bytes on disk, and a remark."""

    name: str
    predict: Predict = field(repr=False)
    size_bytes: int
    note: str = ""


class Workshop:
    """Where candidates are made; what several of them need is made once.

    folder: for exported files, which go into a folder of their own there: a caller's file of the same name is left
    alone, and never taken for one of these. calibration: uint8 tiles (N, 1, 96, 96) that set INT8 ranges, from the
    training split.
    """

    def __init__(self, folder: str | Path, calibration: np.ndarray) -> None:
        self.folder, self.calibration = Path(folder) / "workshop", calibration
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def teacher(self) -> nn.Module:
        """The shipped baseline, float32."""
        return load(BASELINE)

    @cached_property
    def teacher_onnx(self) -> Path:
        """The baseline as an ONNX file."""
        return fuse.export(self.teacher, self.folder / "baseline.onnx")

    @cached_property
    def mobilenet_onnx(self) -> Path:
        """MobileNetV3-small, the depthwise network, as an ONNX file."""
        return fuse.export(load("mobilenet_v3_small"), self.folder / "mobilenet.onnx")

    def onnx(self, name: str, path: Path, note: str) -> Candidate:
        """A file in ONNX Runtime, one thread."""
        return Candidate(name, fuse.onnx_predict(path), path.stat().st_size, note)

    def int8(self, source: Path) -> Path:
        """Static INT8 of a whole file by ONNX Runtime's own tool."""
        return quantize.static_qdq(source, source.with_suffix(".int8.onnx"), self.calibration)

    def student_onnx(self, name: str) -> Path:
        """A shipped student as a float32 ONNX file."""
        path = self.folder / f"{name}.onnx"
        if path.is_file():
            return path
        if name == "student_pruned":  # the student's layers, with fewer channels
            return fuse.with_weights(self.student_onnx("student"), zoo.load_student(name), path)
        return fuse.export(zoo.load_student(name), path)

    def make(self, name: str) -> Candidate:
        """The candidate of this name. Raises ValueError, with the known names, for another."""
        if name not in TECHNIQUES:
            raise ValueError(f"no technique is called {name!r}; there are {', '.join(TECHNIQUES)}.")
        return TECHNIQUES[name](self)


def _baseline(shop: Workshop) -> Candidate:
    return Candidate("baseline", predictor(shop.teacher), prune.state_bytes(shop.teacher), "ResNet-18, eager, float32")


def _reduced(name: str, dtype: torch.dtype) -> Callable[[Workshop], Candidate]:
    def make(shop: Workshop) -> Candidate:
        size = prune.state_bytes(shop.teacher) // 2
        return Candidate(
            name, quantize.reduced(shop.teacher, dtype), size, f"eager, {str(dtype).split('.')[1]}, channels last"
        )

    return make


def _compiled(shop: Workshop) -> Candidate:
    predict, seconds = fuse.torch_compile(shop.teacher)
    note = f"first call took {seconds:.0f} s"
    return Candidate("torch_compile", predict, prune.state_bytes(shop.teacher), note)


def _openvino(shop: Workshop) -> Candidate:
    predict, precision = quantize.openvino_predict(shop.teacher_onnx)
    return Candidate(
        "openvino_fp32", predict, shop.teacher_onnx.stat().st_size, f"float32 file, computed in {precision}"
    )


def _openvino_int8(shop: Workshop) -> Candidate:
    model = quantize.nncf_int8(shop.teacher_onnx, shop.calibration[:128])
    predict, precision = quantize.openvino_predict(model)
    return Candidate("openvino_int8", predict, quantize.openvino_bytes(model), f"NNCF, rest in {precision}")


def _unstructured(shop: Workshop) -> Candidate:
    sparse = prune.magnitude(shop.teacher, SPARSITY)
    path = fuse.with_weights(shop.teacher_onnx, sparse, shop.folder / "unstructured.onnx")
    return shop.onnx("unstructured", path, f"{prune.sparsity(sparse):.0%} zeros, dense kernels")


def _student(name: str, weights: str, note: str, *, tuned: bool = False) -> Callable[[Workshop], Candidate]:
    def make(shop: Workshop) -> Candidate:
        lessons = _lessons(zoo.card(weights, folder=zoo.WEIGHTS), tuned=tuned)
        return shop.onnx(name, shop.student_onnx(weights), f"{note}; {lessons}")

    return make


def _pipeline(shop: Workshop) -> Candidate:
    lessons = _lessons(zoo.pipeline_card(), tuned=True)
    return shop.onnx("pipeline", zoo.pipeline_path(), f"distilled, pruned, tuned, INT8; {lessons}")


def _lessons(card: Mapping, *, tuned: bool) -> str:
    """How long a shipped network was trained, from its card: accuracies after unequal training do not compare."""
    try:
        recipe = card["training"]["recipe"]
        steps, tune_steps = int(recipe["steps"]), int(recipe["tune_steps"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"a card without training.recipe ({error!r}). Rebuild it with `{zoo.COMMAND}`.") from None
    more = f" + {tune_steps:,}" if tuned else ""
    return f"{steps:,}{more} training steps"


#: Name -> how it is made, in the order of the table.
TECHNIQUES: dict[str, Callable[[Workshop], Candidate]] = {
    "baseline": _baseline,
    "fp16": _reduced("fp16", torch.float16),
    "bf16": _reduced("bf16", torch.bfloat16),
    "torch_compile": _compiled,
    "ort_fp32": lambda shop: shop.onnx("ort_fp32", shop.teacher_onnx, "ONNX Runtime, all graph optimisations"),
    "ort_int8": lambda shop: shop.onnx("ort_int8", shop.int8(shop.teacher_onnx), "static QDQ, per channel"),
    "openvino_fp32": _openvino,
    "openvino_int8": _openvino_int8,
    "unstructured": _unstructured,
    "mobilenet_fp32": lambda shop: shop.onnx("mobilenet_fp32", shop.mobilenet_onnx, "depthwise, ONNX Runtime"),
    "mobilenet_int8": lambda shop: shop.onnx("mobilenet_int8", shop.int8(shop.mobilenet_onnx), "depthwise, static QDQ"),
    "nas": _student("nas", "student_nas", "widths found by search, distilled, float32"),
    "distilled": _student("distilled", "student", "student of the baseline, float32"),
    "structured": _student(
        "structured", "student_pruned", "student without its weakest channels, tuned, float32", tuned=True
    ),
    "pipeline": _pipeline,
}


def race(
    candidates: Collection[Candidate], tile: np.ndarray, *, repeats: int = 200, seconds: float = 60.0, threads: int = 1
) -> dict[str, measure.Latency]:
    """Latency of every candidate on one tile, uint8 (1, 1, 96, 96): interleaved rounds, by name.

    PyTorch uses `threads` threads; the other runtimes were built with one. No candidate is timed for longer than about
    `seconds` [s]: bfloat16 takes long on a CPU that has to emulate it.
    """
    one = np.ascontiguousarray(tile)
    with measure.threads(threads):
        calls = {c.name: lambda p=c.predict: p(one) for c in candidates}
        return measure.compare(calls, warmup=5, repeats=repeats, seconds=seconds)


def difference(candidate: Evaluation, baseline: Evaluation, *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Accuracy (a share) that the candidate has more than the baseline on the same tiles: (value, low, high).

    Both were judged on the first tiles of one set; what only one of them saw does not count. Only tiles on which one
    is right and the other wrong say anything, so the interval is narrow where the two nearly always agree, and a few
    easy tiles favour nobody. Raises ValueError when the labels show that the tiles are not the same.
    Source of the interval: D. Bonett, R. Price, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", Journal of Educational and Behavioral Statistics 37(4), 2012.
    """
    n = min(candidate.n, baseline.n)
    if not np.array_equal(candidate.labels[:n], baseline.labels[:n]):
        raise ValueError("the two were not judged on the same tiles: their labels differ.")
    right, before = ((e.logits.argmax(1) == e.labels)[:n] for e in (candidate, baseline))
    gained, lost = int((right & ~before).sum()), int((before & ~right).sum())
    p, q = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * sqrt((p + q - (p - q) ** 2) / (n + 2))
    return (gained - lost) / n, max(-1.0, p - q - half), min(1.0, p - q + half)


def judge(
    candidates: Collection[Candidate],
    timed: Mapping[str, measure.Latency],
    test: TileSet,
    *,
    tiles: Mapping[str, int] | None = None,
    seconds: float = 120.0,
    progress: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Latency (of a `race`) and accuracy of every candidate: one row each, in their order, indexed by name.

    Accuracy: on the first `tiles[name]` tiles of `test`, else on as many as the candidate's p50 lets it judge in
    `seconds` (all, unless it is slow; FEWEST at least); untimed, so the candidates share out the machine's cores, each
    on one thread. Accuracies on different numbers of tiles are no match for each other; differences are.
    Columns: p50_ms, p99_ms, size_bytes, accuracy, n_tiles, speedup, shrink (against the first row), note, and
    difference, difference_low, difference_high: accuracy above the first row's on the same tiles, a share, with its
    95 % interval (see `difference`; the first row's own are 0).
    """
    affordable = {c.name: max(FEWEST, int(seconds * 1e3 / timed[c.name].p50_ms)) for c in candidates}
    affordable |= tiles or {}
    parts = {name: test[:n] for name, n in affordable.items()}

    def judged_by(candidate: Candidate) -> Evaluation:
        part = parts[candidate.name]
        progress(f"accuracy of {candidate.name} on {len(part)} tiles")
        return evaluate(candidate.predict, part)

    longest_first = sorted(candidates, key=lambda c: -len(parts[c.name]) * timed[c.name].p50_ms)
    with measure.threads(1), ThreadPoolExecutor(measure.machine()["cores"]) as workers:
        judged = zip(longest_first, workers.map(judged_by, longest_first), strict=True)
        found = {candidate.name: evaluation for candidate, evaluation in judged}
    rows: list[dict] = []
    reference = next(iter(candidates)).name
    for candidate in candidates:
        time, evaluation = timed[candidate.name], found[candidate.name]
        itself = candidate.name == reference
        value, low, high = (0.0, 0.0, 0.0) if itself else difference(evaluation, found[reference])
        rows.append(
            {
                "name": candidate.name,
                "p50_ms": time.p50_ms,
                "p99_ms": time.p99_ms,
                "size_bytes": candidate.size_bytes,
                "accuracy": evaluation.accuracy,
                "n_tiles": evaluation.n,
                "note": candidate.note,
                "difference": value,
                "difference_low": low,
                "difference_high": high,
            }
        )
    table = pd.DataFrame(rows).set_index("name")
    table.insert(5, "speedup", table.p50_ms.iloc[0] / table.p50_ms)
    table.insert(6, "shrink", table.size_bytes.iloc[0] / table.size_bytes)
    return table


def ledger_rows(chapter: int, board: pd.DataFrame) -> list[Row]:
    """The rows of a `judge` table for the ledger; the one called "baseline" is of that kind.

    Without p99_ms: a chapter has time for some dozens of calls each, and the p99 of so few is their maximum.
    """
    columns = ["p50_ms", "size_bytes", "accuracy", "n_tiles", "note"]
    kinds = ["baseline" if name == "baseline" else "optimisation" for name in board.index]
    records = board[columns].to_dict("records")
    return [Row(chapter, name, kind, **row) for name, kind, row in zip(board.index, kinds, records, strict=True)]
