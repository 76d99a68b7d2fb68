"""Your own network in every runtime that can have it: the same answers, and what each costs.

What a runtime cannot convert is left out with the reason, and the others go on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cvprod import measure
from cvprod.models.own import (
    Examples,
    Network,
    NetworkError,
    beside,
    classifies,
    does_not_run,
    first_line,
    judged,
    reason,
    remarks,
)
from cvprod.quiet import quiet
from cvprod.runtimes import get
from cvprod.runtimes.interface import Description, Runtime
from cvprod.runtimes.parity import LINEUP, REFERENCE

#: What an ONNX file can be run with; the first is its reference. The others start at PyTorch.
FROM_ONNX = ("ONNX Runtime", "OpenVINO", "OpenVINO, own choice", "ONNX Runtime INT8", "OpenVINO INT8")


@dataclass(frozen=True)
class Answers:
    """What the runtimes said of the same examples: label -> outputs, each a list with one array a call."""

    reference: str
    outputs: dict[str, list[list[np.ndarray]]]

    @property
    def classifies(self) -> bool:
        """Whether the network is a classifier (`models.own.classifies`)."""
        return classifies(self.outputs[self.reference])


def lineup(network: Network, only: Collection[str] | None = None) -> dict[str, tuple[str, str, dict]]:
    """The part of the line-up that starts from what the network is, reference first. Raises NetworkError."""
    known = FROM_ONNX if network.file else tuple(LINEUP)
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        what = "an ONNX file can be run with" if network.file else "there are"
        raise NetworkError(f"no runtime for {', '.join(unknown)}: {what} {', '.join(known)}")
    return {label: LINEUP[label] for label in known if not only or label in {known[0], *only}}


def convert(
    network: Network, folder: str | Path, calibration: np.ndarray, chosen: dict[str, tuple[str, str, dict]]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of the network for every label in `chosen`, and the reason for each that could not be made.

    calibration: examples in the network's shape and type, which set the ranges of INT8.
    """
    calibration = network.check(calibration)
    made: dict[tuple[str, str], Path] = {}
    files, left_out = {}, {}
    for label, (runtime, precision, _) in chosen.items():
        if runtime == "pytorch":  # stays in memory, so that it runs what no exporter can record
            continue
        try:
            if (runtime, precision) not in made:
                made[runtime, precision] = _file(network, Path(folder), runtime, precision, calibration, made)
            files[label] = made[runtime, precision]
        except Exception as error:  # converters fail in many ways, and one that does must not stop the others
            left_out[label] = reason(error)
    return files, left_out


def _file(
    network: Network, folder: Path, runtime: str, precision: str, calibration: np.ndarray, made: dict
) -> Path:  # fmt: skip
    engine, path = get(runtime), folder / f"{runtime}_{precision}"
    floats = network.file or made.get((runtime, "fp32"))
    if precision == "int8" and network.file and runtime == "openvino":
        return _openvino_int8(network.file, path.with_suffix(engine.SUFFIX), calibration)
    if precision == "int8" and floats is not None and runtime in ("onnxruntime", "litert"):
        return engine.quantize(floats, path.with_suffix(engine.SUFFIX), calibration)
    if network.file:
        return network.file
    return engine.convert(
        network.module, path, precision=precision, calibration=calibration, example=network.example
    )  # fmt: skip


def _openvino_int8(source: Path, path: Path, calibration: np.ndarray) -> Path:
    import openvino as ov

    with quiet(native=True):
        ov.save_model(get("openvino").quantize(ov.convert_model(str(source)), calibration), str(path))
    return path


def load(
    files: dict[str, Path], network: Network, threads: int, chosen: dict[str, tuple[str, str, dict]]
) -> tuple[dict[str, Runtime], dict[str, str]]:
    """Every file in its runtime, the module itself in PyTorch, and the reason for each that does not load."""
    runs, left_out = {}, {}
    if network.module is not None:
        runs[REFERENCE] = get("pytorch").wrap(
            network.module, threads, example=network.example, alone=network.batch == 1
        )  # fmt: skip
    for label, path in files.items():
        runtime, _, options = chosen[label]
        if runtime in ("onnxruntime", "openvino"):  # whose files may leave a side open
            options = {**options, "input": network.input}
        try:
            runs[label] = get(runtime).load(path, threads, **options)
        except Exception as error:  # as above
            left_out[label] = reason(error)
    return runs, left_out


def answers(run: Runtime, examples: np.ndarray) -> list[list[np.ndarray]]:
    """All outputs for the examples: of one call, or, where there are several outputs, of a call for each example."""
    if len(run.all(examples[:1])) == 1:
        return [run.all(examples)]
    return [run.all(examples[i : i + 1]) for i in range(len(examples))]


def table(
    found: Answers, times: dict[int, dict[str, float]], about: dict[str, Description], examples: Examples
) -> pd.DataFrame:
    """One row a runtime: what it computes in, p50 of one example for each number of threads, size, and its answers
    beside the reference's.

    times: number of threads -> label -> p50 [ms]. "largest difference" is a share of the spread (largest less smallest
    value) of the reference's output, the worst of all outputs. "same class" is for classifiers; for other networks
    "same shape" says on how many examples every output has the reference's shape, as a detector's need not, and
    differences count where it has. accuracy: where the examples have labels.
    """
    rows: dict[str, dict] = {}
    truth = found.outputs[found.reference]
    for label, outputs in found.outputs.items():
        row = rows[label] = {"computes in": about[label].precision}
        row |= {f"{n} thread{'s' if n > 1 else ''}, ms": timed.get(label, np.nan) for n, timed in times.items()}
        difference, alike = beside(outputs, truth)
        row |= {"file, MB": (about[label].size_bytes or 0) / measure.MB}
        row |= {"largest difference, %": difference * 100, "same shape, %": alike * 100}
        if found.classifies:
            logits, wanted = outputs[0][0], truth[0][0]
            row |= judged(logits, wanted, examples)
            del row["same shape, %"]
    return pd.DataFrame(rows.values(), index=pd.Index(rows, name="runtime"))


def _one_by_one(run: Runtime, images: np.ndarray):
    place = iter(range(10**9))
    return lambda: run.all(images[(i := next(place) % len(images)) : i + 1])


def measured(
    network: Network,
    folder: str | Path,
    examples: Examples,
    calibration: np.ndarray,
    *,
    only: Collection[str] | None = None,
    threads: Sequence[int] = (1,),
    repeats: int = 40,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Convert, load, compare and time: the table, and the reason for each runtime that is not in it.

    `attrs["remarks"]` of the table says what is wrong with the reference itself. Raises NetworkError where not even the
    reference runs.
    """
    chosen = lineup(network, only)
    reference = next(iter(chosen))
    files, left_out = convert(network, folder, calibration, chosen)
    found: dict[str, list[list[np.ndarray]]] = {}
    times: dict[int, dict[str, float]] = {}
    about: dict[str, Description] = {}
    for n in threads:  # one after the other: programs of ExecuTorch share one pool, which must not change under them
        runs, refused = load(files, network, n, chosen)
        left_out |= refused
        if not times:
            found, failed = _answered(runs, examples.images, reference)
            left_out |= failed
            if reference in found:
                once, again = (runs[reference].all(examples.images[:1]) for _ in range(2))
                notes = remarks(reference, found[reference], once, again, examples)
        if reference in left_out or reference not in found:
            raise does_not_run(network, reference, left_out.get(reference, "no reason"))
        runs = {label: run for label, run in runs.items() if label in found}
        calls = {label: _one_by_one(run, examples.images) for label, run in runs.items()}
        timed = measure.compare(calls, warmup=2, repeats=repeats)
        times[n] = {label: timed[label].p50_ms for label in runs}
        about = {label: run.describe() for label, run in runs.items()} | about
        del runs, calls
    made = table(Answers(reference, found), times, about, examples)
    made.attrs["remarks"] = notes
    return made, left_out


def _answered(
    runs: dict[str, Runtime], images: np.ndarray, reference: str
) -> tuple[dict[str, list[list[np.ndarray]]], dict[str, str]]:
    """The answers of every runtime, and the reason for each that gives none, or other outputs than the reference."""
    found, failed = {}, {}
    for label, run in runs.items():
        try:
            found[label] = answers(run, images)
            outputs, wanted = len(found[label][0]), len(found.get(reference, found[label])[0])
            if outputs != wanted:
                raise NetworkError(f"gives {outputs} outputs where {reference} gives {wanted}")
        except Exception as error:  # as above
            found.pop(label, None)
            failed[label] = first_line(error)
    return found, failed


__all__ = ["FROM_ONNX", "REFERENCE", "Answers", "answers", "convert", "lineup", "load", "measured", "table"]
