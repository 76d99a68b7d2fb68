"""Small jobs for `measure.peak_memory`: each runs in a process of its own, so it lives in a module, not a notebook."""

from __future__ import annotations

import importlib


def nothing() -> None:
    """A bare interpreter."""


def imported(*modules: str) -> None:
    """Only import these modules: what a framework costs before it has done anything."""
    for module in modules:
        importlib.import_module(module)


def predict(network: str, batch: int = 1, calls: int = 5) -> None:
    """Load a shipped network and let it classify `batch` blank tiles, `calls` times."""
    import torch

    from cvprod import models

    torch.set_num_threads(1)
    model = models.load(network)
    tiles = torch.zeros(batch, *models.INPUT_SHAPE, dtype=torch.uint8)
    with torch.inference_mode():
        for _ in range(calls):
            model(tiles)
