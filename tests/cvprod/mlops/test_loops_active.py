"""Feedback loops keep two accounts; ways to choose tiles choose what they say."""

import numpy as np
import pytest

from cvprod.mlops import active, heads, loops
from cvprod.mlops.tiles import Embedded

RNG = np.random.default_rng(2)
HEAD = heads.shipped().head


def test_books_hold_truth_only_where_somebody_looked():
    truth = np.array([0, 1, 2, 0, 3])
    predicted = np.array([0, 0, 2, 4, 5])  # one defect missed, one false reject, one wrong name
    rng = np.random.default_rng(0)
    labels, looked = loops.books("own verdict", predicted, truth, rng)
    assert labels.tolist() == predicted.tolist() and not looked.any()
    labels, looked = loops.books("rejected only", predicted, truth, rng)
    assert looked.tolist() == [False, False, True, True, True]
    assert labels.tolist() == [0, 0, 2, 0, 3], "the missed defect is booked as clean"
    labels, looked = loops.books("rejected and audit", predicted, truth, rng, audit=1.0)
    assert labels.tolist() == truth.tolist() and looked.all()
    with pytest.raises(ValueError, match="no source"):
        loops.books("hearsay", predicted, truth, rng)


def test_own_verdicts_and_rejects_always_look_perfect_in_the_books():
    x = RNG.normal(0, 1, (420, 96)).astype(np.float32)
    y = RNG.integers(0, 7, 420)
    pool, test = Embedded(x[:210], y[:210]), Embedded(x[210:], y[210:])
    for source in ("own verdict", "rejected only"):
        told = loops.rounds(source, pool, test, count=3)
        assert [r.booked for r in told] == [1.0] * 4 and len(told) == 4
    assert sum(r.labelled for r in loops.rounds("own verdict", pool, test, count=3)) == 0


@pytest.mark.parametrize("name", active.WAYS)
def test_every_way_returns_as_many_different_tiles_as_asked(name):
    x = RNG.normal(0, 1, (90, 96)).astype(np.float32)
    for n in (1, 20, 90):
        chosen = active.WAYS[name](x, HEAD, n, np.random.default_rng(1))
        assert len(set(chosen.tolist())) == n and chosen.min() >= 0 and chosen.max() < 90


def test_margin_takes_the_closest_and_k_centre_covers():
    x = RNG.normal(0, 1, (120, 96)).astype(np.float32)
    top = np.sort(HEAD.logits(x), axis=1)
    gaps = top[:, -1] - top[:, -2]
    chosen = active.margin(x, HEAD, 15, RNG)
    assert gaps[chosen].max() <= np.delete(gaps, chosen).min()
    groups = np.repeat(np.eye(8, 96, dtype=np.float32) * 50, 15, axis=0) + RNG.normal(0, 0.1, (120, 96))
    covered = active.k_centre(groups.astype(np.float32), HEAD, 8, RNG) // 15
    assert set(covered.tolist()) == set(range(8)), "one of each group before two of any"


def test_intervals_are_paired_by_seed_and_hold_the_truth():
    rng = np.random.default_rng(4)
    luck = rng.normal(0, 0.05, (5, 1))  # of the seed: both ways share it
    curves = {"random": 0.8 + luck + rng.normal(0, 0.001, (5, 2)), "better": 0.83 + luck + rng.normal(0, 0.001, (5, 2)),
              "same": 0.8 + luck + rng.normal(0, 0.001, (5, 2))}  # fmt: skip
    told = active.against_random(curves)
    mean, low, high = told["better"]
    assert (low > 0).all() and (low < 0.03).all() and (high > 0.03).all() and np.allclose(mean, 0.03, atol=0.003)
    assert (told["same"][1] < 0.003).all() and (told["same"][2] > -0.003).all()
    assert set(told) == {"better", "same"}
