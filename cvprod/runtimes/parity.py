"""Do the runtimes give the same answers, and what does each cost? One table, one run.

A converted model is a new program. It is the old one only as far as somebody has compared the two on the same tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cvprod import measure
from cvprod.ledger import Row
from cvprod.runtimes import get
from cvprod.runtimes.interface import Runtime
from cvprod.surface import TileSet

#: What can be served on a CPU: label -> (runtime, precision of the file, options of `load`).
LINEUP: dict[str, tuple[str, str, dict]] = {
    "PyTorch eager": ("pytorch", "fp32", {}),
    "ONNX Runtime": ("onnxruntime", "fp32", {}),
    "OpenVINO": ("openvino", "fp32", {}),
    "LiteRT": ("litert", "fp32", {}),
    "ExecuTorch": ("executorch", "fp32", {}),
    "OpenVINO, own choice": ("openvino", "fp32", {"compute": None}),
    "ONNX Runtime INT8": ("onnxruntime", "int8", {}),
    "OpenVINO INT8": ("openvino", "int8", {}),
    "LiteRT INT8": ("litert", "int8", {}),
    "ExecuTorch INT8": ("executorch", "int8", {}),
}
REFERENCE = "PyTorch eager"
#: Whose `quantize` makes the INT8 file from the float32 file, so that one conversion serves both.
FROM_FILE = ("onnxruntime", "litert")


@dataclass(frozen=True)
class Result:
    """One runtime at one number of threads, beside the reference.

    threads: asked for; on fewer cores than that, OpenVINO takes fewer. accuracy and agreement are shares of the same
    `n_tiles` tiles; agreement: same class as the reference; max_abs_diff: largest difference of any logit; p50_ms: one
    tile, interleaved with the other runtimes. No p99: of so few calls it is little more than the slowest.
    """

    name: str
    precision: str
    threads: int
    p50_ms: float
    size_bytes: int
    accuracy: float
    agreement: float
    max_abs_diff: float
    n_tiles: int

    def as_dict(self) -> dict:
        """Plain values."""
        return asdict(self)


def convert_all(
    model: torch.nn.Module,
    folder: str | Path,
    calibration: np.ndarray,
    lineup: Mapping = LINEUP,
    *,
    made: Mapping[tuple[str, str], Path] | None = None,
) -> dict[str, Path]:
    """Convert once for every (runtime, precision) in the line-up, but for those in `made`; returns label -> file."""
    made = dict(made or {})
    for runtime, precision, _ in lineup.values():
        if (runtime, precision) in made:
            continue
        engine, path = get(runtime), Path(folder) / f"{runtime}_{precision}"
        floats = made.get((runtime, "fp32"))
        if precision == "int8" and runtime in FROM_FILE and floats is not None:
            made[runtime, precision] = engine.quantize(floats, path.with_suffix(engine.SUFFIX), calibration)
        else:
            made[runtime, precision] = engine.convert(model, path, precision=precision, calibration=calibration)
    return {label: made[runtime, precision] for label, (runtime, precision, _) in lineup.items()}


def load_all(files: Mapping[str, Path], threads: int = 1, lineup: Mapping = LINEUP) -> dict[str, Runtime]:
    """Load every file with its runtime; returns label -> runtime."""
    return {label: get(lineup[label][0]).load(path, threads, **lineup[label][2]) for label, path in files.items()}


def answers(runs: Mapping[str, Runtime], tiles: TileSet) -> dict[str, np.ndarray]:
    """Logits float32 (N, 7) of every runtime on the same tiles."""
    return {label: run(tiles.images) for label, run in runs.items()}


def compare(
    runs: Mapping[str, Runtime],
    logits: Mapping[str, np.ndarray],
    tiles: TileSet,
    *,
    reference: str = REFERENCE,
    repeats: int = 60,
    threads: int | None = None,
) -> list[Result]:
    """Score `logits` against the reference and time `runs` on single tiles, interleaved.

    repeats: timed calls of each; they go through different tiles, as on the line. threads: how many `runs` were asked
    to use, so that all get the same label; None takes each runtime's own word.
    """
    if reference not in logits:
        raise ValueError(f"the reference {reference!r} is not among {', '.join(logits)}")
    timed = measure.compare({label: _one_by_one(run, tiles.images) for label, run in runs.items()}, repeats=repeats)
    wanted = logits[reference].argmax(1)
    results = []
    for label, run in runs.items():
        about, chosen = run.describe(), logits[label].argmax(1)
        result = Result(
            name=label,
            precision=about.precision,
            threads=about.threads if threads is None else threads,
            p50_ms=timed[label].p50_ms,
            size_bytes=about.size_bytes or 0,
            accuracy=float((chosen == tiles.labels).mean()),
            agreement=float((chosen == wanted).mean()),
            max_abs_diff=float(np.abs(logits[label] - logits[reference]).max()),
            n_tiles=len(tiles),
        )
        results.append(result)
    return results


def margins(logits: Mapping[str, np.ndarray], reference: str = REFERENCE) -> pd.DataFrame:
    """Why a tile changes class: the reference's margin beside what each runtime takes off it.

    One row a runtime and tile. `margin`: logit of the class that the reference names, less that of its runner-up.
    `lost`: how much smaller that lead is in the runtime (below zero: it grew). The class changes where `lost` exceeds
    `margin`: `flipped`.
    """
    rows = np.arange(len(logits[reference]))
    winner = logits[reference].argmax(1)

    def lead(values: np.ndarray) -> np.ndarray:
        others = values.copy()
        others[rows, winner] = -np.inf
        return values[rows, winner] - others.max(1)

    margin = lead(logits[reference])
    parts = []
    for name, values in logits.items():
        if name != reference:
            now = lead(values)
            parts.append(pd.DataFrame({"runtime": name, "margin": margin, "lost": margin - now, "flipped": now < 0}))
    return pd.concat(parts, ignore_index=True)


def table(results: Iterable[Result]) -> pd.DataFrame:
    """One row a runtime: what it computes in, p50 for each number of threads, size, accuracy."""
    rows: dict[str, dict] = {}
    for r in results:
        row = rows.setdefault(r.name, {"computes in": r.precision})
        row[f"{r.threads} thread{'s' if r.threads > 1 else ''}, ms"] = r.p50_ms
        row |= {"file, MB": row.pop("file, MB", r.size_bytes / measure.MB), "accuracy, %": r.accuracy * 100}
    frame = pd.DataFrame(rows.values(), index=pd.Index(rows, name="runtime"))
    times = [c for c in frame if c.endswith("ms")]
    return frame[["computes in", *times, "file, MB", "accuracy, %"]]


def _one_by_one(run: Runtime, images: np.ndarray):
    place = iter(range(10**9))
    return lambda: run(images[(i := next(place) % len(images)) : i + 1])


def rounded(result: Result) -> Result:
    """Fewer digits, for a file that people read."""
    digits = {"p50_ms": 4, "accuracy": 5, "agreement": 5}
    return replace(result, **{field: round(getattr(result, field), n) for field, n in digits.items()})


def ledger_rows(chapter: int, results: Iterable[Result], network: str) -> list[Row]:
    """The results as rows of the ledger, named by runtime and number of threads."""
    return [
        Row(
            chapter,
            f"{r.name}, {r.threads} thread{'s' if r.threads > 1 else ''}",
            "runtime",
            p50_ms=r.p50_ms,
            size_bytes=r.size_bytes,
            accuracy=r.accuracy,
            n_tiles=r.n_tiles,
            note=f"{network}, computes in {r.precision}",
        )
        for r in results
    ]
