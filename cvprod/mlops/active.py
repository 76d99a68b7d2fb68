"""Which tiles to have labelled: three ways to choose, and chance, which is hard to beat.

Each takes embeddings (N, D), the live head, a number and a Generator, and returns the indices to label, all different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from . import heads
from .tiles import Embedded

Choose = Callable[[np.ndarray, heads.Head, int, np.random.Generator], np.ndarray]


def random(x: np.ndarray, head: heads.Head, n: int, rng: np.random.Generator) -> np.ndarray:
    """Any n tiles."""
    return rng.choice(len(x), n, replace=False)


def margin(x: np.ndarray, head: heads.Head, n: int, rng: np.random.Generator) -> np.ndarray:
    """Those whose two best classes are closest. T. Scheffer and others, IDA 2001."""
    top = np.sort(head.logits(x), axis=1)
    return np.argsort(top[:, -1] - top[:, -2], kind="stable")[:n]


def k_centre(x: np.ndarray, head: heads.Head, n: int, rng: np.random.Generator) -> np.ndarray:
    """Greedily the one farthest from all chosen so far. O. Sener and S. Savarese, "Core-set", ICLR 2018."""
    chosen = [int(rng.integers(len(x)))]
    nearest = np.linalg.norm(x - x[chosen[0]], axis=1)
    while len(chosen) < n:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(x - x[chosen[-1]], axis=1))
    return np.array(chosen)


def batch(x: np.ndarray, head: heads.Head, n: int, rng: np.random.Generator) -> np.ndarray:
    """Far apart (k-centre) among the three times as many that are closest to the border (margin)."""
    close = margin(x, head, min(3 * n, len(x)), rng)
    return close[k_centre(x[close], head, n, rng)]


WAYS: dict[str, Choose] = {"random": random, "margin": margin, "k-centre": k_centre, "batch": batch}


def curve(
    way: Choose, pool: Embedded, test: Embedded, base: Embedded, *, budgets: Sequence[int], seed: int
) -> list[float]:
    """Test accuracy after each budget of labels, chosen in rounds: each round asks the head of the round before."""
    rng, head = np.random.default_rng(seed), heads.shipped().head
    pool = pool[rng.permutation(len(pool))[: len(pool) * 4 // 5]]  # another stretch of strip for each seed
    left, have, found = np.arange(len(pool)), np.empty(0, np.int64), []
    for budget in budgets:
        picked = left[way(pool.x[left], head, budget - len(have), rng)]
        have, left = np.concatenate([have, picked]), np.setdiff1d(left, picked)
        new = pool[have]
        weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in (base, new)])
        both = base + new
        head = heads.fit(both.x, both.y, heads.shipped().head, weights=weights)
        found.append(head.accuracy(test.x, test.y))
    return found


def against_random(curves: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Mean gain over random and its 95 % interval (Student, paired by seed), at each budget.

    curves: way -> (seeds, budgets) accuracies; "random" must be among them. Returns way -> (mean, low, high).
    """
    from scipy.stats import t

    told = {}
    for name, values in curves.items():
        if name == "random":
            continue
        gain = values - curves["random"]
        half = t.ppf(0.975, len(gain) - 1) * gain.std(0, ddof=1) / np.sqrt(len(gain))
        told[name] = (gain.mean(0), gain.mean(0) - half, gain.mean(0) + half)
    return told
