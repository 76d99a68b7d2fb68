"""The networks that this package ships: students in float32 and the pipeline's INT8 file, each with its card."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

from torch import nn

from cvprod.files import write_atomic
from cvprod.models import register
from cvprod.models.weights import WeightsError, card, load_weights, save_weights, versions

from .student import student, widths

WEIGHTS = Path(__file__).parent / "weights"
COMMAND = "python -m cvprod.optimize train"
STUDENTS = ("student", "student_pruned", "student_nas")
PIPELINE = "pipeline"


_being_saved: dict[str, dict] = {}  # name -> widths, while the card that will hold them is not written yet


def _shape(name: str) -> dict:
    """Widths of a shipped network, from its card: pruning and search decide them, not this file.

    Raises WeightsError for a card that is damaged, or whose widths are none.
    """
    if name in _being_saved:
        return _being_saved[name]
    path = WEIGHTS / f"{name}.json"
    if not path.is_file():
        return {}
    training = _read(path).get("training")
    shape = training.get("shape", {}) if isinstance(training, dict) else None
    # With the command on the card, whatever is found wrong with it or the weights later names it as the remedy.
    if not isinstance(shape, dict) or not isinstance(training.get("command"), str):
        raise _damaged(path, "it has no training.command, or widths that are no mapping")
    if shape and not _are_widths(**shape):
        raise _damaged(path, f"these are no widths of a student: {json.dumps(shape)[:200]}")
    return shape


def _are_widths(stem: object = None, hidden: object = None, outputs: object = None, **others: object) -> bool:
    if others or not isinstance(hidden, list) or not isinstance(outputs, list) or len(hidden) != len(outputs):
        return False
    # A block halves the side, 24 at first; the bound keeps a wrong number from taking all the memory.
    return 1 <= len(hidden) <= 5 and all(
        isinstance(w, int) and not isinstance(w, bool) and 1 <= w <= 1024 for w in (stem, *hidden, *outputs)
    )


def _damaged(path: Path, why: object) -> WeightsError:
    return WeightsError(f"{path}: not a card ({why}). Rebuild it with `{COMMAND}`.")


def _read(path: Path) -> dict:
    """A card as it lies there; WeightsError for what is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not JSON, or not UTF-8
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, "it is no mapping")
    return content


def _builder(name: str) -> nn.Module:
    return student(**_shape(name))


for _name in STUDENTS:
    register(_name, partial(_builder, _name))


def load_student(name: str = "student") -> nn.Module:
    """A shipped student, checksum verified, float32, eval mode: "student", "student_pruned" or "student_nas"."""
    if name not in STUDENTS:
        raise ValueError(f"no student is called {name!r}; there are {', '.join(STUDENTS)}.")
    for path in (WEIGHTS / f"{name}.safetensors", WEIGHTS / f"{name}.json"):
        if not path.is_file():
            raise WeightsError(f"{path} is missing. Rebuild it with `{COMMAND}`.")
    return load_weights(name, folder=WEIGHTS)


def save_student(name: str, model: nn.Module, card: dict, *, folder: Path = WEIGHTS) -> Path:
    """Write a student's weights and card, its widths included; see `cvprod.models.save_weights`."""
    shape = widths(model)
    card = {**card, "training": {**card["training"], "shape": shape}}
    _being_saved[name] = shape
    try:
        return save_weights(name, model, card, folder=folder)
    finally:
        del _being_saved[name]


def save_pipeline(path: Path, card: dict, *, folder: Path = WEIGHTS) -> Path:
    """Copy the pipeline's ONNX file into the package beside its card, which gets the file's size and checksum."""
    blob, target = Path(path).read_bytes(), Path(folder) / f"{PIPELINE}.onnx"
    file = {"file": target.name, "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    text = json.dumps({"name": PIPELINE, **card, "file": file, "versions": versions()}, indent=2) + "\n"
    write_atomic(target, blob)
    write_atomic(target.with_suffix(".json"), text.encode())
    return target


def pipeline_path(folder: Path | None = None) -> Path:
    """The pipeline's INT8 ONNX file, checksum verified. Raises WeightsError when it is missing or damaged."""
    path = (folder or WEIGHTS) / f"{PIPELINE}.onnx"
    if not path.is_file():
        raise WeightsError(f"{path}: the pipeline's file is missing. Rebuild it with `{COMMAND}`.")
    expected = pipeline_card(folder)["file"]["sha256"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != expected:
        raise WeightsError(
            f"{path}: sha256 {digest[:12]}... where its card has {expected[:12]}...; the file is damaged or was "
            f"changed. Rebuild it with `{COMMAND}`."
        )
    return path


def pipeline_card(folder: Path | None = None) -> dict:
    """The card of the pipeline's file: how it was made, its test, its checksum. Raises WeightsError if damaged."""
    path = (folder or WEIGHTS) / f"{PIPELINE}.json"
    content = _read(path)
    file = content.get("file")
    if not isinstance(file, dict) or not isinstance(file.get("sha256"), str):
        raise _damaged(path, "it has no file.sha256")
    return content


__all__ = [
    "COMMAND",
    "PIPELINE",
    "STUDENTS",
    "WEIGHTS",
    "card",
    "load_student",
    "pipeline_card",
    "pipeline_path",
    "save_pipeline",
    "save_student",
]
