"""Membership inference: does the model's answer tell whether a picture was among those that it was trained on?

A model is surer of what it has seen. Who guesses "member" where the loss is low is right more often than by chance if
the model has learnt pictures by heart. Source: S. Yeom and others, "Privacy risk in machine learning: analyzing the
connection to overfitting", CSF 2018 (arXiv:1709.01604).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each answer: float (N, classes) and int (N,) to float (N,). What the service rounds to 0 counts
    as one in a million."""
    return -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-6, 1))


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Chance that a random member has a lower loss than a random other tile: 0.5 tells nothing, 1 tells everything.

    The area under the ROC curve of the attack; ties count a half. Raises ValueError where either is empty.
    """
    if not len(members) or not len(others):
        raise ValueError("membership needs losses of members and of others")
    ranks = rankdata(-np.concatenate([members, others]))
    low = len(members) * (len(members) + 1) / 2
    return float((ranks[: len(members)].sum() - low) / (len(members) * len(others)))
