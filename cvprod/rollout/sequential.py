"""A test that may be looked at after every label: evidence by betting, valid whenever one stops.

For each pair of answers, d is 1 where only the new version failed, -1 where only the old one did, 0 where they fared
alike. Somebody bets, at fair odds under "the mean of d is at most `margin`", that d will be higher. If the statement
is true, his capital is a martingale that starts at 1 or falls: it ever reaches 20 with a probability of at most 1/20
(Ville's inequality), however often one looks. If it is false, the capital grows exponentially. So capital is evidence.

Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86(1), 2024.
"""

from __future__ import annotations

import numpy as np

#: Shares of the capital that are staked, one bettor each; the evidence is what they own on average.
BETS = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
MOST = 500.0  # the logarithm at which a capital is rich enough: exp of more overflows


def evidence(d: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """Evidence against "the mean of d is at most `margin`" after each observation.

    Args:
        d: float (..., n) in [-1, 1], in the order in which they came; streams may be stacked before the last axis.
        margin: in [-0.2, 0.2].

    Returns:
        float64 of the same shape: the mean capital of the bettors, 1 at the start. Reject at 1/alpha.

    Raises ValueError for other values, NaN among them.
    """
    gain = _checked(d, margin) - margin
    capital = np.zeros_like(gain)
    for bet in BETS:
        capital += np.exp(np.minimum(np.cumsum(np.log1p(bet * gain), axis=-1), MOST))
    return capital / len(BETS)


def first(reached: np.ndarray) -> np.ndarray:
    """Where each stream (..., n) is true for the first time, counted from 1; 0 where it never is."""
    return np.where(reached.any(-1), reached.argmax(-1) + 1, 0)


class Evidence:
    """The same, one observation at a time, in constant memory."""

    def __init__(self, margin: float = 0.0) -> None:
        _checked(np.zeros(1), margin)
        self.margin, self.n, self.best = margin, 0, 1.0
        self._capital = np.zeros(len(BETS))  # logarithms

    @property
    def value(self) -> float:
        """The mean capital now. `best` is the highest that it has been, which is what may be compared with 1/alpha."""
        return float(np.exp(np.logaddexp.reduce(self._capital)) / len(BETS))

    def add(self, d: float) -> float:
        """Take one observation in, and return the new value. Raises ValueError for what is not in [-1, 1]."""
        d = float(_checked(np.array(d), self.margin))
        self._capital = np.minimum(self._capital + np.log1p(BETS * (d - self.margin)), MOST)
        self.n += 1
        self.best = max(self.best, value := self.value)
        return value


def _checked(d: np.ndarray, margin: float) -> np.ndarray:
    d = np.asarray(d, dtype=np.float64)
    if not (np.abs(d) <= 1).all():
        raise ValueError("an observation must lie in [-1, 1]; NaN is none.")
    if not -0.2 <= margin <= 0.2:
        raise ValueError(f"the margin must lie in [-0.2, 0.2], or a bettor could lose more than he has; got {margin}.")
    return d
