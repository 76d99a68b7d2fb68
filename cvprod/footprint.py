"""What a model costs to keep: its file, and jobs for `measure.peak_memory`.

Each job runs in a process of its own, so it lives in a module, not in a notebook; and this module imports nothing
heavy, for that would be counted too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def nothing() -> None:
    """A bare interpreter."""


def imported(*modules: str) -> None:
    """Only import these modules: what a framework costs before it has done anything."""
    for module in modules:
        importlib.import_module(module)


def predict(network: str, batch: int = 1, calls: int = 2) -> None:
    """Load a shipped network and let it classify `batch` blank tiles, `calls` times."""
    import torch

    from cvprod import models

    torch.set_num_threads(1)
    model = models.load(network)
    tiles = torch.zeros(batch, *models.INPUT_SHAPE, dtype=torch.uint8)
    with torch.inference_mode():
        for _ in range(calls):
            model(tiles)


def predict_file(path: str, calls: int = 2) -> None:
    """Load an ONNX file that takes uint8 tiles (N, 1, 96, 96) in ONNX Runtime, and let it classify a blank one."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pixels = session.get_inputs()[0].name
    for _ in range(calls):
        session.run(None, {pixels: np.zeros((1, 1, 96, 96), np.uint8)})


def file_bytes(model: torch.nn.Module) -> int:
    """Size in bytes of the model's safetensors file, at the precision that the model has now."""
    from safetensors.torch import save

    return len(save({name: tensor.contiguous() for name, tensor in model.state_dict().items()}))
