"""Five detectors without labels. Each compares a window with a reference and gives one number: more means more change.

The number has no meaning by itself. What is much is said by its distribution on windows in which nothing has changed
(`calibration`): so no detector needs a formula for its p-value, and all are judged by the same windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cvprod.serving.descriptors import NAMES

from .sample import Sample

Score = Callable[[Sample], float]


def ks(reference: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Two-sample Kolmogorov-Smirnov statistic of every column: (M, K) and (N, K) to float64 (K,), 0 to 1."""
    found = np.empty(reference.shape[1])
    for k in range(reference.shape[1]):
        a, b = np.sort(reference[:, k]), np.sort(window[:, k])
        points = np.concatenate([a, b])
        above = np.searchsorted(a, points, side="right") / len(a) - np.searchsorted(b, points, side="right") / len(b)
        found[k] = np.abs(above).max()
    return found


def by_descriptor(reference: Sample, window: Sample) -> dict[str, float]:
    """The KS statistic of each descriptor, largest first: *what* has changed."""
    found = dict(zip(NAMES, ks(reference.descriptors, window.descriptors).tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def descriptor_ks(reference: Sample) -> Score:
    """Largest KS statistic of the eight descriptors."""
    return lambda window: float(ks(reference.descriptors, window.descriptors).max())


def softmax_ks(reference: Sample) -> Score:
    """Largest KS statistic of the class probabilities: black-box shift detection.

    Z. Lipton and others, ICML 2018; as a detector: S. Rabanser and others, "Failing Loudly", NeurIPS 2019.
    """
    return lambda window: float(ks(reference.probabilities, window.probabilities).max())


def class_chi2(reference: Sample) -> Score:
    """Pearson's chi-squared between the predicted classes of the window and of the reference."""
    classes = reference.probabilities.shape[1]
    before = np.bincount(reference.predicted, minlength=classes).astype(float)

    def score(window: Sample) -> float:
        table = np.stack([before, np.bincount(window.predicted, minlength=classes)])
        table = table[:, table.sum(0) > 0]
        expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
        return float(((table - expected) ** 2 / expected).sum())

    return score


def _scaled(reference: Sample) -> Callable[[Sample], np.ndarray]:
    """Embeddings in units of the reference's own spread, float32; a feature that never moved is only centred."""
    mean, spread = reference.embeddings.mean(0), reference.embeddings.std(0)
    spread = np.where(spread > 1e-6, spread, 1)
    return lambda s: ((s.embeddings - mean) / spread).astype(np.float32)


def embedding_mmd(reference: Sample) -> Score:
    """Squared maximum mean discrepancy of the embeddings, Gaussian kernel, width by the median heuristic.

    A. Gretton and others, "A Kernel Two-Sample Test", JMLR 13, 2012.
    """
    scale = _scaled(reference)
    x = scale(reference)
    xx = (x * x).sum(1)
    within = np.maximum(xx[:, None] + xx - 2 * x @ x.T, 0)
    width = np.median(within[np.triu_indices(len(x), 1)])
    m = len(x)
    own = (np.exp(within / -width).sum() - m) / (m * (m - 1))

    def score(window: Sample) -> float:
        y = scale(window)
        yy, n = (y * y).sum(1), len(y)
        ky = np.exp(np.maximum(yy[:, None] + yy - 2 * y @ y.T, 0) / -width)
        kxy = np.exp(np.maximum(xx[:, None] + yy - 2 * x @ y.T, 0) / -width)
        return float(own + (ky.sum() - n) / (n * (n - 1)) - 2 * kxy.mean())

    return score


def suspicion(reference: Sample, window: Sample) -> np.ndarray:
    """How sure a linear classifier is that each tile of the window does not come from the reference, float64 (N,).

    Ridge regression on the embeddings, each row judged by the fit without it (leave one out, in closed form). Sort by
    it to see *which tiles* are new.
    """
    return _ridge(reference, window)[len(reference) :]


def _ridge(reference: Sample, window: Sample) -> np.ndarray:
    scale = _scaled(reference)
    x = np.concatenate([scale(reference), scale(window)]).astype(np.float64)
    x = np.c_[x, np.ones(len(x))]
    y = np.r_[np.full(len(reference), -1 / len(reference)), np.full(len(window), 1 / len(window))]
    y *= len(x) / 2
    gram = x.T @ x + 10.0 * np.eye(x.shape[1])
    solved = np.linalg.solve(gram, x.T)
    leverage = np.einsum("ij,ji->i", x, solved)
    fitted = x @ (solved @ y)
    return (fitted - leverage * y) / (1 - leverage)


def embedding_c2st(reference: Sample) -> Score:
    """Classifier two-sample test: area under the ROC curve with which a linear classifier tells window from reference.

    D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017. 0.5: it cannot.
    """

    def score(window: Sample) -> float:
        found = _ridge(reference, window)
        return auc(found[: len(reference)], found[len(reference) :])

    return score


def auc(low: np.ndarray, high: np.ndarray) -> float:
    """Probability that one of `high` exceeds one of `low`, ties counting half: the area under the ROC curve."""
    low, high = np.sort(np.asarray(low, float)), np.asarray(high, float)
    if not len(low) or not len(high):
        raise ValueError("an area under the curve needs both kinds of scores")
    below, upto = np.searchsorted(low, high, side="left"), np.searchsorted(low, high, side="right")
    return float((below + upto).mean() / (2 * len(low)))


#: Name -> (what it looks at, how it is made from a reference).
DETECTORS: Mapping[str, tuple[str, Callable[[Sample], Score]]] = {
    "descriptors": ("eight descriptors, KS", descriptor_ks),
    "classes": ("predicted classes, chi-squared", class_chi2),
    "softmax": ("class probabilities, KS", softmax_ks),
    "mmd": ("embeddings, MMD", embedding_mmd),
    "c2st": ("embeddings, classifier", embedding_c2st),
}


def fit(reference: Sample) -> dict[str, Score]:
    """Every detector on one reference."""
    if len(reference) < 2:
        raise ValueError(f"a reference needs at least two tiles, not {len(reference)}")
    return {name: make(reference) for name, (_, make) in DETECTORS.items()}
