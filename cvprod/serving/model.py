"""One model, checked before it serves: an ONNX file whose hash, classes and calibration its card states.

The card (JSON) says which bytes the file must have, what temperature turns logits into honest probabilities, and what
logits a fixed pattern must give. `Model.load` checks all three, so that a truncated download, the wrong file or a
broken runtime never answers a request. `calibrate` writes a card.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from .card import Card, ModelError, keep, read

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["SIDE", "TOLERANCE", "Card", "Model", "ModelError", "calibrate", "keep", "open_session", "pattern", "read"]

SIDE = 96
#: How far the logits of the self test may be off: INT8 kernels of different CPUs round differently.
TOLERANCE = 1.0


def pattern() -> np.ndarray:
    """The input of the self test: uint8 (1, 1, 96, 96), every grey level, the same everywhere."""
    return (np.add.outer(np.arange(SIDE) * 7, np.arange(SIDE) * 3) % 256).astype(np.uint8)[None, None]


def open_session(data: bytes, device: str = "cpu") -> ort.InferenceSession:
    """One thread, no spinning: a worker process has one core, and waits without burning it. Raises ModelError."""
    import onnxruntime as ort  # here, so that cards can be read without it

    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}[device]
    if providers[0] not in ort.get_available_providers():
        raise ModelError(f"this onnxruntime has no {providers[0]}: install onnxruntime-gpu, or use --device cpu")
    try:
        session = ort.InferenceSession(data, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises many kinds, and its messages hold paths
        raise ModelError(why_not(data, str(error))) from error
    # Without a driver ONNX Runtime falls back to the CPU, and says little.
    if session.get_providers()[0] != providers[0]:
        raise ModelError("no CUDA device could be opened: look at the driver, or use --device cpu")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape
    if (
        len(inputs) != 1
        or len(shape) != 4
        or shape[1:] != [1, SIDE, SIDE]
        or not isinstance(shape[0], (str, type(None)))
    ):
        raise ModelError(
            f"the model must take one input of shape (batch, 1, {SIDE}, {SIDE}), not {[i.shape for i in inputs]}"
        )
    if (
        inputs[0].type not in ("tensor(uint8)", "tensor(float)")
        or len(outputs) != 1
        or outputs[0].type != "tensor(float)"
    ):
        raise ModelError("the model must take uint8 or float32 and give float32 logits")
    return session


#: What a file begins with that is no model, and what to do about it.
_NO_MODEL = (
    (b"version https://git-lfs", "the file is a Git LFS pointer, not the model: run `git lfs pull`"),
    (b"<", "the file is a web page, not the model: the download ended at a sign-in page or an error"),
    (b"{", "the file is JSON, not the model: name the .onnx file, or a card that names it"),
    (b"\x80\x02", "the file is a pickle, not ONNX: export it with torch.onnx.export"),
    (b"PK\x03\x04", "the file is a ZIP archive (torch.save writes one), not ONNX: export it with torch.onnx.export"),
)
#: What ONNX Runtime says, and what to do about it.
_CURES = (
    ("IR version", "export again for an older IR version, or update onnxruntime"),
    ("opset", "export again with an older opset_version, or update onnxruntime"),
    ("xternal", "its weights lie in a file beside it: export with external_data=False, so that one file holds all"),
    ("not a registered function", "it needs operators that this runtime does not have"),
    ("rotobuf parsing failed", "the file is cut short or damaged: copy it again"),
)


def why_not(data: bytes, error: str) -> str:
    """Why a file cannot be opened as a model, and the cure, for its operator; error: the runtime's words."""
    if not data:
        return "the model file is empty: copy it again"
    for magic, reason in _NO_MODEL:
        if data[:200].lstrip().startswith(magic):
            return reason
    words = error.rpartition(" : ")[2] if error.startswith("[ONNX") else error
    said = re.sub(r"\S*/\S*", "...", words).strip()[:300]  # its words hold paths
    cures = [cure for words, cure in _CURES if words in error]
    return f"this runtime cannot open the model: {said.rstrip('.')}" + "".join(f"; {cure}" for cure in cures[:1])


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model. `run` is not meant for two threads at once."""

    card: Card
    session: ort.InferenceSession

    @classmethod
    def load(cls, path: Path, device: str = "cpu", keys: Path | None = None) -> Model:
        """Read a card (or an ONNX file with a card of the same name beside it), check, warm up. Raises ModelError.

        keys: public keys of which one must have signed the card; see `card.read`.
        """
        card, data = read(path, keys)
        model = cls(card, open_session(data, device))
        model.check()
        return model

    def check(self) -> None:
        """Self test and warm-up. Raises ModelError."""
        logits = self.run(pattern())[0]
        if logits.shape != (len(self.card.classes),):
            raise ModelError(f"the model gives {logits.size} logits for {len(self.card.classes)} classes")
        if not np.isfinite(logits).all():
            raise ModelError("the model gives logits that are not numbers")
        if is_softmax(logits):
            raise ModelError(
                "the model ends in a softmax and gives probabilities, not logits: export it without, since the "
                "card's temperature is applied to logits"
            )
        expected = np.asarray(self.card.self_test)
        if expected.shape != logits.shape or np.abs(logits - expected).max() > TOLERANCE:
            raise ModelError("the model's logits for the self test are not those of its card")
        for n in (1, 2, 8):
            self.run(np.repeat(pattern(), n, axis=0))

    def run(self, tiles: np.ndarray) -> np.ndarray:
        """Logits: uint8 or float32 (N, 1, 96, 96), grey levels 0..255, to float32 (N, classes)."""
        wanted = self.session.get_inputs()[0]
        kind = np.uint8 if wanted.type == "tensor(uint8)" else np.float32
        if tiles.dtype != kind:
            tiles = np.clip(np.rint(tiles), 0, 255).astype(np.uint8) if kind is np.uint8 else tiles.astype(np.float32)
        return self.session.run(None, {wanted.name: tiles})[0]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated: softmax(logits / temperature), float32 (N, classes)."""
        scaled = logits / np.float32(self.card.temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        np.exp(scaled, out=scaled)
        scaled /= scaled.sum(axis=1, keepdims=True)
        return scaled

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def version(self) -> str:
        return self.card.version


def is_softmax(rows: np.ndarray) -> bool:
    """Whether these are probabilities: none negative, and each row, (..., classes), adds up to one."""
    return bool((rows >= 0).all() and np.allclose(rows.sum(-1), 1.0, atol=1e-3))


def calibrate(
    onnx: Path, card: Path, *, name: str, version: str, classes: Sequence[str], tiles: np.ndarray, labels: np.ndarray
) -> Card:
    """Fit the temperature on tiles that neither trained nor tested the model, and write its card.

    Args:
        onnx: the model file.
        card: where to write; the file's path is stored relative to it.
        tiles: uint8 (N, 1, 96, 96); labels: int (N,).

    Temperature scaling: C. Guo and others, "On Calibration of Modern Neural Networks", ICML 2017. One number, fitted by
    minimising the negative log-likelihood; it cannot change the label.
    """
    from scipy.optimize import minimize_scalar

    from cvprod.files import write_atomic

    try:
        data = Path(onnx).read_bytes()
    except OSError as error:
        raise ModelError(f"the model file cannot be read: {error.strerror}") from None
    where, digest = os.path.relpath(onnx, card.parent), hashlib.sha256(data).hexdigest()
    try:
        draft = Card(
            name=name, version=version, file=where, sha256=digest, classes=tuple(classes), temperature=1.0,
            self_test=(0.0,) * len(classes),
        )  # fmt: skip
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} {e['input']!r}: {e['msg']}" for e in error.errors())
        raise ModelError(f"its card cannot say so: {wrong}") from None
    model = Model(draft, open_session(data))
    logits = np.concatenate([model.run(tiles[i : i + 64]) for i in range(0, len(tiles), 64)]).astype(np.float64)
    if logits.shape[1:] != (len(classes),):
        raise ModelError(f"the model gives {logits.shape[-1]} logits; there are {len(classes)} classes: {classes}")
    if is_softmax(logits):
        raise ModelError("the model ends in a softmax: export it without, a temperature is applied to logits")

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        peak = scaled.max(1)
        return float(
            (np.log(np.exp(scaled - peak[:, None]).sum(1)) + peak - scaled[np.arange(len(labels)), labels]).mean()
        )

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    temperature = float(np.exp(best.x))
    made = draft.model_copy(update={
        "temperature": round(temperature, 4),
        "self_test": tuple(round(float(v), 4) for v in model.run(pattern())[0]),
        "calibration": {
            "n_tiles": float(len(labels)),
            "nll_before": round(loss(0.0), 5), "nll_after": round(loss(best.x), 5),
            "ece_before": round(calibration_error(logits, labels, 1.0), 5),
            "ece_after": round(calibration_error(logits, labels, temperature), 5),
        },
    })  # fmt: skip
    card.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(card, (made.model_dump_json(indent=1) + "\n").encode())
    return made


def calibration_error(logits: np.ndarray, labels: np.ndarray, temperature: float, bins: int = 15) -> float:
    """Expected calibration error: the gap between confidence and accuracy, averaged over bins of confidence."""
    scaled = logits / temperature
    scaled = np.exp(scaled - scaled.max(1, keepdims=True))
    confidence = (scaled / scaled.sum(1, keepdims=True)).max(1)
    right = logits.argmax(1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(sum(
        abs(confidence[index == b].mean() - right[index == b].mean()) * (index == b).mean()
        for b in range(bins) if (index == b).any()
    ))  # fmt: skip
