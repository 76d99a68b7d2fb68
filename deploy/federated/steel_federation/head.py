"""The shared head: softmax regression on features that every plant computes with the same frozen network."""

from __future__ import annotations

import numpy as np

Weights = list[np.ndarray]


def zeros(width: int, classes: int) -> Weights:
    """The head with which everybody starts: float32 weight (classes, width) and bias (classes,)."""
    return [np.zeros((classes, width), np.float32), np.zeros(classes, np.float32)]


def train(weights: Weights, x: np.ndarray, y: np.ndarray, *, epochs: int, lr: float, seed: int) -> Weights:
    """Plain SGD in batches of 32; returns new weights.

    Args:
        x, y: float32 features (N, width) and int64 labels (N,).
    """
    weight, bias = (layer.copy() for layer in weights)
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        for rows in np.array_split(order.permutation(len(x)), max(1, len(x) // 32)):
            scores = x[rows] @ weight.T + bias
            scores = np.exp(scores - scores.max(1, keepdims=True))
            error = scores / scores.sum(1, keepdims=True)
            error[np.arange(len(rows)), y[rows]] -= 1
            weight -= lr * error.T @ x[rows] / len(rows)
            bias -= lr * error.mean(0)
    return [weight.astype(np.float32), bias.astype(np.float32)]


def accuracy(weights: Weights, x: np.ndarray, y: np.ndarray) -> float:
    """Share of rows whose highest score is their label."""
    return float(((x @ weights[0].T + weights[1]).argmax(1) == y).mean())
