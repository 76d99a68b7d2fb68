"""Extraction: whoever may ask can train a copy on the answers, and then attack the copy in private.

Source: F. Tramer and others, "Stealing machine learning models via prediction APIs", USENIX Security 2016
(arXiv:1609.02943); the attack on the copy: N. Papernot and others, arXiv:1602.02697.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from cvprod.models.evaluation import Predict
from cvprod.optimize.distill import TrainingSet, fit
from cvprod.optimize.student import student

from .api import UNTOLD, Told


def copy_model(
    tiles: np.ndarray, told: Told, *, start: nn.Module | None = None, width: int = 16, steps: int = 150,
    batch: int = 32, lr: float = 1e-3, seed: int = 0,
) -> nn.Module:  # fmt: skip
    """Train a network of the attacker's own on what the service told about the attacker's own pictures.

    tiles: uint8 (N, 1, 96, 96); told: the answers to them. start: a network that the attacker has already, which is
    not changed; by default a new one, of `width` channels in its first block, that needs more steps and a higher rate.
    It is distillation (chapter 2) with a stranger as the teacher: from all probabilities where they were told, else
    from the labels alone.
    """
    torch.manual_seed(seed)
    shape = (width, 2 * width, 4 * width)
    network = copy.deepcopy(start) if start is not None else student(width, shape, shape)
    soft = np.log(np.clip(told.probabilities, UNTOLD, 1)).astype(np.float32) if told.complete else None
    data = TrainingSet(tiles, told.labels.astype(np.int64), soft)
    fit(network, data, steps=steps, batch=batch, lr=lr, temperature=2.0, alpha=1.0 if told.complete else 0.0, seed=seed)
    return network.eval()


def agreement(one: Predict, other: Predict, tiles: np.ndarray) -> float:
    """Share of tiles to which two models give the same label: how good a copy is, true or not."""
    return float((one(tiles).argmax(1) == other(tiles).argmax(1)).mean())
