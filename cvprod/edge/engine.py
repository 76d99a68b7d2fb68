"""Open a model file for inference on a device: LiteRT for .tflite, ONNX Runtime for .onnx.

`cvprod.runtimes` converts, inspects and compares, and imports PyTorch for it; a device has no room for that. What is
left here is the serving half, plus one thing that only a fully integer file (Coral) needs: its own input type.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Predictor = Callable[[np.ndarray], np.ndarray]


class EngineError(RuntimeError):
    """The model cannot be opened here: unknown kind of file, or its runtime is missing."""


def open_model(path: Path, threads: int = 1) -> Predictor:
    """A predictor: uint8 (N, 1, 96, 96) pixels in, float32 logits (N, 7) out; one tile after the other.

    Raises EngineError, naming the package to install; whatever the runtime raises for a damaged file.
    """
    openers = {".tflite": _litert, ".onnx": _onnx}
    path = Path(path)
    if path.suffix not in openers:
        raise EngineError(f"{path.name}: this device runs {' and '.join(openers)}")
    try:
        return openers[path.suffix](path, threads)
    except ImportError as error:
        package = {".tflite": "ai-edge-litert", ".onnx": "onnxruntime"}[path.suffix]
        raise EngineError(f"{path.name} needs its runtime: pip install {package} ({error})") from error


def read_golden(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, 1, S, S) and labels (n,) of an .npz file. Raises ValueError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as held:
            images, labels = held["images"], held["labels"]
    except Exception as error:  # of NumPy, zipfile or zlib
        raise ValueError(f"{path}: no .npz file with `images` and `labels` ({error})") from error
    whole = np.issubdtype(labels.dtype, np.integer) and labels.shape == (len(images) if images.ndim else 0,)
    if images.ndim != 4 or images.shape[1] != 1 or images.dtype != np.uint8 or not len(images) or not whole:
        raise ValueError(f"{path}: golden tiles are uint8 images (n, 1, S, S) and n whole labels, at least one")
    return images, labels


def _litert(path: Path, threads: int) -> Predictor:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise EngineError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs; this device wants one each"
        )
    (given,), (taken,) = inputs, outputs

    def one(tile: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], quantise(tile[None], given))
        interpreter.invoke()
        return dequantise(interpreter.get_tensor(taken["index"]), taken)[0]

    return lambda tiles: np.stack([one(tile) for tile in tiles])


def quantise(pixels: np.ndarray, details: dict) -> np.ndarray:
    """Pixels in the type that the model's input has: float32, or integers by the input's scale and zero point."""
    kind, (scale, zero) = details["dtype"], details["quantization"]
    if not np.issubdtype(kind, np.integer) or not scale:
        return pixels.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(pixels.astype(np.float32) / scale) + zero, limits.min, limits.max).astype(kind)


def dequantise(values: np.ndarray, details: dict) -> np.ndarray:
    """The model's output as float32 logits."""
    scale, zero = details["quantization"]
    if not np.issubdtype(details["dtype"], np.integer) or not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero) * np.float32(scale)


def _onnx(path: Path, threads: int) -> Predictor:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # what it thinks of a file's unused weights is not for a device's log
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1 or given.type not in kinds:
        ends = f"{len(session.get_inputs())} inputs ({given.type}) and {len(session.get_outputs())} outputs"
        raise EngineError(f"{path.name} has {ends}; this device wants one each, and pixels as {', '.join(kinds)}")
    kind = kinds[given.type]
    return lambda tiles: np.concatenate([session.run(None, {given.name: tile[None].astype(kind)})[0] for tile in tiles])
