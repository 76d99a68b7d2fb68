"""Federated learning: three plants train one head together, and no tile leaves its plant.

In each round every plant trains the shared head on its own tiles and sends the weights; the server averages them,
each plant counted by its tiles, and sends the mean back.
Source: B. McMahan and others, "Communication-efficient learning of deep networks from decentralized data",
AISTATS 2017 (arXiv:1602.05629). Flower's FedAvg aggregates the same way; `tests` hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cvprod.surface import CLASSES

Weights = list[np.ndarray]


@dataclass(frozen=True)
class Plant:
    """One plant's own data: float32 (N, width) features and int64 (N,) labels."""

    name: str
    x: np.ndarray
    y: np.ndarray


def skewed(x: np.ndarray, y: np.ndarray, sees: Mapping[str, Sequence[str]]) -> list[Plant]:
    """Share tiles out so that each plant has only the classes that it sees; a class of several is split evenly.

    sees: name of the plant -> names of classes. Raises ValueError for a class that nobody, or no surface, knows.
    """
    known = {name for names in sees.values() for name in names}
    if missing := known ^ set(CLASSES):
        raise ValueError(f"every class must be seen by a plant, and be one of the surface's: look at {sorted(missing)}")
    chosen: dict[str, list[int]] = {plant: [] for plant in sees}
    for label, name in enumerate(CLASSES):
        owners = [plant for plant, names in sees.items() if name in names]
        for position, index in enumerate(np.flatnonzero(y == label)):
            chosen[owners[position % len(owners)]].append(int(index))
    return [Plant(plant, x[np.sort(rows)], y[np.sort(rows)]) for plant, rows in chosen.items()]


def new_head(width: int, seed: int = 0) -> nn.Linear:
    """The head with which everybody starts."""
    torch.manual_seed(seed)
    return nn.Linear(width, len(CLASSES))


def get_weights(head: nn.Module) -> Weights:
    """Copies of all parameters, in order."""
    return [p.detach().numpy().copy() for p in head.parameters()]


def set_weights(head: nn.Module, weights: Weights) -> None:
    """Put parameters back, in place."""
    with torch.no_grad():
        for parameter, value in zip(head.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(value))


def train(head: nn.Module, plant: Plant, *, epochs: int = 1, batch: int = 32, lr: float = 0.1, seed: int = 0) -> None:
    """Plain SGD on one plant's tiles, in place."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(head.parameters(), lr=lr)
    x, y = torch.from_numpy(plant.x), torch.from_numpy(plant.y)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            optimiser.zero_grad()
            F.cross_entropy(head(x[rows]), y[rows]).backward()
            optimiser.step()


def average(results: Sequence[tuple[Weights, int]]) -> Weights:
    """FedAvg's aggregation: the mean of all weights, each plant's counted by its number of tiles.

    Raises ValueError without results, or without tiles.
    """
    total = sum(count for _, count in results)
    if not total:
        raise ValueError("nothing to average: no plant has sent weights with a number of tiles above 0")
    return [
        np.sum([layer * (count / total) for layer, (_, count) in zip(layers, results, strict=True)], axis=0).astype(
            layers[0].dtype
        )
        for layers in zip(*(weights for weights, _ in results), strict=True)
    ]


def fedavg(plants: Sequence[Plant], *, rounds: int = 10, epochs: int = 1, seed: int = 0) -> tuple[nn.Linear, list]:
    """Train together; returns the head and the weights after every round (for a curve)."""
    shared, history = new_head(plants[0].x.shape[1], seed), []
    for number in range(rounds):
        results = []
        for plant in plants:
            local = new_head(plant.x.shape[1], seed)
            set_weights(local, get_weights(shared))
            train(local, plant, epochs=epochs, seed=seed + number)
            results.append((get_weights(local), len(plant.y)))
        set_weights(shared, average(results))
        history.append(get_weights(shared))
    return shared, history


def alone(plant: Plant, *, rounds: int = 10, epochs: int = 1, seed: int = 0) -> nn.Linear:
    """What a plant learns by itself in as many passes over its tiles."""
    head = new_head(plant.x.shape[1], seed)
    for number in range(rounds):
        train(head, plant, epochs=epochs, seed=seed + number)
    return head


def score(head: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Accuracy on features and labels."""
    with torch.inference_mode():
        return float((head(torch.from_numpy(x)).argmax(1).numpy() == y).mean())
