"""Evasion: the smallest change of a tile that a camera could hide and that changes the answer.

Budgets are in grey levels of 255 (an l-infinity ball): `epsilon=2` lets every pixel move by two levels, which nobody
sees. What an attack returns is bytes again, whole grey levels inside the ball, because that is what an API takes: an
attack on floating-point pixels may be undone by the rounding on the way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvprod.models.evaluation import Predict


def _check(images: np.ndarray, epsilon: float) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"an attack starts from tiles, uint8 (N, 1, S, S), not {images.dtype} {images.shape}")
    if not 0 < epsilon <= 255:
        raise ValueError(f"epsilon is in grey levels, above 0 and at most 255, not {epsilon}")


def noise(images: np.ndarray, epsilon: float, *, seed: int = 0) -> np.ndarray:
    """The control: every pixel moved by the whole budget in a random direction. uint8 (N, 1, S, S), same shape back."""
    _check(images, epsilon)
    signs = np.random.default_rng(seed).choice((-1, 1), images.shape)
    return np.clip(images + int(epsilon) * signs, 0, 255).astype(np.uint8)


def gradient(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """How the loss of the true label changes with each pixel: float (N, 1, S, S)."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(x), labels, reduction="sum"), x)[0]


def pgd(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, epsilon: float, *, steps: int = 10, seed: int = 0
) -> np.ndarray:
    """Projected gradient descent: `steps` small steps uphill in the loss, each pulled back into the ball.

    model: white box, takes float pixels 0..255 and gives logits. images: uint8 (N, 1, S, S); labels: int64 (N,).
    Returns uint8 tiles of which no pixel is further than `epsilon` from its original.
    Source: Madry and others, "Towards deep learning models resistant to adversarial attacks", arXiv:1706.06083.
    """
    _check(images, epsilon)
    start, y = torch.from_numpy(images).float(), torch.from_numpy(np.asarray(labels))
    low, high = (start - epsilon).clamp(0, 255), (start + epsilon).clamp(0, 255)
    x = start
    if steps > 1:  # a random start inside the ball: at the tile itself the gradient may be masked
        x = start + epsilon * (2 * torch.rand(start.shape, generator=torch.Generator().manual_seed(seed)) - 1)
    step = epsilon if steps == 1 else 2.5 * epsilon / steps
    for _ in range(steps):
        x = (x + step * gradient(model, x, y).sign()).clamp(low, high)
    return _whole_levels(x, low, high)


def fgsm(model: nn.Module, images: np.ndarray, labels: np.ndarray, epsilon: float) -> np.ndarray:
    """One step of the whole budget, from the tile itself: Goodfellow and others, arXiv:1412.6572. See `pgd`."""
    return pgd(model, images, labels, epsilon, steps=1)


def _whole_levels(x: Tensor, low: Tensor, high: Tensor) -> np.ndarray:
    return x.round().clamp(low.ceil(), high.floor()).to(torch.uint8).numpy()


def in_batches(attack: Callable[..., np.ndarray], model: nn.Module, images: np.ndarray, labels: np.ndarray,
               epsilon: float, *, batch: int = 32, **options: object) -> np.ndarray:  # fmt: skip
    """The attack on part after part: activations of a large batch fit no CPU's cache."""
    parts = range(0, len(images), batch)
    return np.concatenate([
        attack(model, images[i : i + batch], labels[i : i + batch], epsilon, **options) for i in parts
    ])  # fmt: skip


def accuracy(predict: Predict, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of tiles that `predict` gives their true class."""
    return float((predict(images).argmax(1) == labels).mean())


def square(
    ask: Callable[[np.ndarray], np.ndarray], tile: np.ndarray, label: int, epsilon: float, *, queries: int = 100,
    seed: int = 0,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Without a gradient: random squares pushed to the edge of the ball, kept when the answer gets less sure.

    ask: uint8 (1, 1, S, S) -> scores (1, classes), one query of the service. Returns the tile and the queries spent;
    it ends early where the label changes. A service that tells no scores gives this search nothing to follow.
    Source: M. Andriushchenko and others, "Square attack", ECCV 2020 (arXiv:1912.00049), simplified: one size of square.
    """
    _check(tile, epsilon)
    rng = np.random.default_rng(seed)
    side, low, high = tile.shape[-1], tile.astype(int) - int(epsilon), tile.astype(int) + int(epsilon)
    stripes = int(epsilon) * rng.choice((-1, 1), (1, 1, 1, side))  # the paper's start
    best = np.clip(tile + stripes, 0, 255).astype(np.uint8)
    scores = ask(best)[0]
    for spent in range(1, queries):
        if scores.argmax() != label:
            return best, spent
        size = max(3, int(side * np.sqrt(0.2 * (1 - spent / queries))))
        y, x = rng.integers(0, side - size + 1, 2)
        trial = best.astype(int)
        trial[..., y : y + size, x : x + size] += 2 * int(epsilon) * int(rng.choice((-1, 1)))
        trial = np.clip(np.clip(trial, low, high), 0, 255).astype(np.uint8)
        told = ask(trial)[0]
        if _margin(told, label) < _margin(scores, label):
            best, scores = trial, told
    return best, queries


def _margin(scores: np.ndarray, label: int) -> float:
    return float(scores[label] - np.delete(scores, label).max())
