"""Your own network with every technique that needs no training: what each gains here, and how far it moves answers.

A technique that the network does not bear is left out with the reason, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cvprod import measure
from cvprod.models.own import (
    Examples,
    Network,
    NetworkError,
    beside,
    call,
    classifies,
    does_not_run,
    first_line,
    judged,
    leaves,
    onnx_bytes,
    remarks,
)
from cvprod.quiet import quiet

from . import fuse, prune, quantize
from .compare import Candidate, race

#: Shares of the channels that are taken out.
RATIOS = (0.25, 0.5)


def candidates(
    network: Network, calibration: np.ndarray, folder: str | Path, *, ratios: Sequence[float] = RATIOS
) -> tuple[dict[str, Candidate], dict[str, str]]:
    """Each technique as a `predict` (one example in, a list of all outputs), and the reason for each that failed.

    calibration: examples in the network's shape and type. The first candidate is what the others are held against.
    Raises NetworkError where not even that runs.
    """
    folder, calibration = Path(folder), network.check(calibration)
    file = network.file or folder / "float.onnx"
    made: dict[str, Callable[[], Candidate]] = {}
    if network.module is not None:
        size = prune.state_bytes(network.module)
        made["PyTorch eager"] = lambda: Candidate("PyTorch eager", _eager(network.module), size, "as it is")
    made["ONNX Runtime"] = lambda: _onnx("ONNX Runtime", _exported(network, file), "graph optimised")
    made["OpenVINO"] = lambda: _openvino("OpenVINO", _there(file), "its own choice of type")
    made["ONNX Runtime INT8"] = lambda: _onnx(
        "ONNX Runtime INT8",
        quantize.static_qdq(_there(file), folder / "int8.onnx", calibration),
        "static QDQ, per channel",
    )
    made["OpenVINO INT8"] = lambda: _openvino("OpenVINO INT8", quantize.nncf_int8(_there(file), calibration), "NNCF")
    for ratio in ratios if network.module is not None else ():
        label = f"{ratio:.0%} of channels gone"
        made[label] = lambda label=label, ratio=ratio: _onnx(
            label, _pruned(network, file, ratio, folder / f"pruned{ratio}.onnx"), "not trained on; ONNX Runtime"
        )
    found, left_out = {}, {}
    example = np.zeros((1, *network.input), network.dtype)
    for label, make in made.items():
        try:
            found[label] = make()
            found[label].predict(example)
        except Exception as error:  # tools fail in many ways, and one that does must not stop the others
            found.pop(label, None)
            left_out[label] = first_line(error)
            if label == next(iter(made)):
                raise does_not_run(network, label, left_out[label]) from error
    return found, left_out


def _eager(module: torch.nn.Module) -> Callable[[np.ndarray], list[np.ndarray]]:
    def predict(one: np.ndarray) -> list[np.ndarray]:
        return [value.numpy() for value in leaves(call(module, torch.from_numpy(one))).values()]

    return predict


def _exported(network: Network, file: Path) -> Path:
    if network.module is None:
        return file
    return fuse.export(network.module, file, example=network.example)


def _there(file: Path) -> Path:
    if not file.is_file():
        raise NetworkError("it starts from the ONNX file, which could not be made")
    return file


def _pruned(network: Network, source: Path, ratio: float, file: Path) -> Path:
    smaller = prune.channels(network.module, ratio, example=network.example)
    if not source.is_file():  # another graph may still be exported
        return fuse.export(smaller, file, example=network.example)
    try:  # the graph is there; another one takes seconds to export
        return fuse.with_weights(source, smaller, file, example=network.example)
    except ValueError:
        return fuse.export(smaller, file, example=network.example)


def _filled(one: np.ndarray, size: int | None) -> np.ndarray:
    """One example as often as a file of a fixed batch wants it."""
    return one if size in (None, 1) else np.repeat(one, size, 0)


def _onnx(label: str, file: Path, note: str) -> Candidate:
    session = fuse.session(file)
    given = session.get_inputs()[0]
    size = given.shape[0] if isinstance(given.shape[0], int) else None

    def predict(one: np.ndarray) -> list[np.ndarray]:
        return _first(session.run(None, {given.name: _filled(one, size)}), size)

    return Candidate(label, predict, onnx_bytes(file), _with_batch(note, size))


def _openvino(label: str, model: object, note: str) -> Candidate:
    import openvino as ov

    config = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    with quiet(native=True):
        compiled = ov.Core().compile_model(str(model) if isinstance(model, Path) else model, "CPU", config)
    request, batch = compiled.create_infer_request(), compiled.input(0).partial_shape[0]
    size = batch.get_length() if batch.is_static else None
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()

    def predict(one: np.ndarray) -> list[np.ndarray]:
        answer = request.infer([_filled(one, size)], share_inputs=True)
        return _first([answer[output].copy() for output in compiled.outputs], size)

    bytes_ = onnx_bytes(model) if isinstance(model, Path) else quantize.openvino_bytes(model)
    return Candidate(label, predict, bytes_, _with_batch(f"{note}, rest in {chosen}", size))


def _first(outputs: Sequence[np.ndarray], size: int | None) -> list[np.ndarray]:
    return [o[:1] if size not in (None, 1) and o.ndim and len(o) == size else o for o in outputs]


def _with_batch(note: str, size: int | None) -> str:
    return note if size in (None, 1) else f"{note}; the file takes {size} at a time, and that is timed"


def board(made: dict[str, Candidate], examples: Examples, *, repeats: int = 40, seconds: float = 20.0) -> pd.DataFrame:
    """Every candidate timed in one run and held against the first: one row each.

    "moved" is the largest difference of any output as a share of the spread of the first one's; "same class" is there
    for classifiers, accuracy where the examples have labels. Of other networks "same shape" says on how many examples
    every output has the shape of the first one's, as a detector's need not; what moved counts there. No candidate is
    timed for longer than `seconds`. `attrs["remarks"]` of the table says what is wrong with the first one itself.
    """  # fmt: skip
    timed = race(list(made.values()), examples.images[:1], repeats=repeats, seconds=seconds)
    answers = {
        label: [c.predict(examples.images[i : i + 1]) for i in range(len(examples))] for label, c in made.items()
    }
    truth = next(iter(answers.values()))
    rows = {}
    for label, candidate in made.items():
        row = {"p50, ms": timed[label].p50_ms, "times as fast": next(iter(timed.values())).p50_ms / timed[label].p50_ms}
        moved, alike = beside(answers[label], truth)
        row |= {"file, MB": candidate.size_bytes / measure.MB, "moved, %": moved * 100}
        if classifies(truth):
            logits, wanted = (np.concatenate([call[0] for call in calls]) for calls in (answers[label], truth))
            row |= judged(logits, wanted, examples)
        else:
            row["same shape, %"] = alike * 100
        rows[label] = row | {"note": candidate.note}
    table = pd.DataFrame(rows.values(), index=pd.Index(rows, name="technique"))
    first = next(iter(made))
    table.attrs["remarks"] = remarks(first, truth, truth[0], made[first].predict(examples.images[:1]), examples)
    return table
