"""Detectors see planted changes, name them, stay near their null where there are none, and agree with oracles."""

import numpy as np
import pytest
from scipy import stats

from cvprod.monitoring import detectors
from cvprod.monitoring.sample import Sample, join

NAMES = list(detectors.DETECTORS)


def make(n, seed, *, shift=0.0, direction=0, descriptor=0.0, classes=None):
    """A synthetic sample: 16 features, 8 descriptors, 7 classes of which the first takes most."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, 16)).astype(np.float32)
    embeddings[:, direction] += shift
    described = rng.normal(size=(n, 8)).astype(np.float32)
    described[:, 3] += descriptor
    labels = rng.choice(7, n, p=classes if classes is not None else [0.4, *[0.1] * 6])
    probabilities = rng.dirichlet(np.ones(7) * 0.2, n).astype(np.float32) * 0.3
    probabilities[np.arange(n), labels] += 0.7
    return Sample(described, embeddings, probabilities / probabilities.sum(1, keepdims=True), labels)


REFERENCE = make(500, 1)
SCORES = detectors.fit(REFERENCE)
NULL = np.array([[s(make(200, 100 + k)) for s in SCORES.values()] for k in range(60)])


def test_ks_is_scipys():
    a, b = np.random.default_rng(0).normal(size=(2, 90, 3))
    a[:40, 1] = b[:40, 1] = 0.5  # ties
    ours = detectors.ks(a, b[:70])
    assert ours == pytest.approx([stats.ks_2samp(a[:, k], b[:70, k]).statistic for k in range(3)])


def test_auc_is_the_mann_whitney_statistic():
    low, high = np.random.default_rng(1).integers(0, 9, (2, 60))
    expected = stats.mannwhitneyu(high, low).statistic / (60 * 60)
    assert detectors.auc(low, high) == pytest.approx(expected)
    assert detectors.auc([1, 1], [1]) == 0.5 and detectors.auc([0], [1]) == 1.0
    with pytest.raises(ValueError, match="both kinds"):
        detectors.auc([], [1])


def test_chi2_is_scipys():
    window = make(200, 3)
    table = np.stack([np.bincount(s.predicted, minlength=7) for s in (REFERENCE, window)])
    expected = stats.chi2_contingency(table, correction=False).statistic
    assert SCORES["classes"](window) == pytest.approx(expected)


def test_mmd_is_that_of_its_definition():
    """The sums over all pairs, one by one, on a small sample."""
    a, b = make(12, 4), make(9, 5, shift=1.0)
    mean, spread = a.embeddings.mean(0), a.embeddings.std(0)
    x, y = ((s.embeddings - mean) / spread for s in (a, b))
    apart = [np.sum((x[i] - x[j]) ** 2) for i in range(12) for j in range(i)]
    k = lambda p, q: np.exp(-np.sum((p - q) ** 2) / np.median(apart))  # noqa: E731
    within = lambda z: np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j])  # noqa: E731
    expected = within(x) + within(y) - 2 * np.mean([k(p, q) for p in x for q in y])
    assert detectors.embedding_mmd(a)(b) == pytest.approx(expected, abs=1e-5)


def test_c2st_leaves_each_row_out():
    """The closed form against fits that really leave one out; without that, noise alone would look separable."""
    a, b = make(30, 6), make(20, 7)
    x = np.concatenate([(s.embeddings - a.embeddings.mean(0)) / a.embeddings.std(0) for s in (a, b)])
    x, y = np.c_[x, np.ones(50)], np.r_[np.full(30, -25 / 30), np.full(20, 25 / 20)]
    slow = []
    for i in range(50):
        keep = np.arange(50) != i
        w = np.linalg.solve(x[keep].T @ x[keep] + 10 * np.eye(17), x[keep].T @ y[keep])
        slow.append(x[i] @ w)
    assert detectors.suspicion(a, b) == pytest.approx(slow[30:], abs=1e-3)


@pytest.mark.parametrize(
    ("change", "sees", "blind"),
    [
        ({"descriptor": 1.0}, ["descriptors"], ["classes", "softmax", "mmd", "c2st"]),
        ({"shift": 1.5}, ["mmd", "c2st"], ["descriptors", "classes", "softmax"]),
        ({"classes": [0.1, 0.4, *[0.1] * 5]}, ["classes", "softmax"], ["descriptors", "mmd", "c2st"]),
    ],
)
def test_each_sees_its_change_and_no_other(change, sees, blind):
    found = np.array([[s(make(200, 300 + k, **change)) for s in SCORES.values()] for k in range(12)])
    areas = {name: detectors.auc(NULL[:, i], found[:, i]) for i, name in enumerate(NAMES)}
    assert all(areas[name] >= 0.95 for name in sees), areas
    assert all(0.2 < areas[name] < 0.8 for name in blind), areas


def test_what_has_moved_is_named_first():
    assert next(iter(detectors.by_descriptor(REFERENCE, make(200, 8, descriptor=1.0)))) == "sharpness"


def test_suspicion_ranks_the_new_tiles_first():
    mixed = join([make(150, 9), make(50, 10, shift=3.0)])
    unlike = np.argsort(-detectors.suspicion(REFERENCE, mixed))[:40]
    assert (unlike >= 150).mean() > 0.7


def test_a_feature_that_never_moved_and_equal_windows_are_no_trouble():
    still = make(60, 11)
    still.embeddings[:, 2] = 4.0
    assert np.isfinite([s(still[:50]) for s in detectors.fit(still).values()]).all()
    with pytest.raises(ValueError, match="at least two"):
        detectors.fit(REFERENCE[:1])


def test_a_sample_refuses_what_is_broken():
    good = make(5, 12)
    with pytest.raises(ValueError, match="equally many"):
        Sample(good.descriptors, good.embeddings[:4], good.probabilities)
    bad = good.probabilities.copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match="broken model"):
        Sample(good.descriptors, good.embeddings, bad)
    with pytest.raises(ValueError, match="no labels"):
        Sample(good.descriptors, good.embeddings, good.probabilities).wrong  # noqa: B018
    assert len(good[good.labels == good.labels[0]]) >= 1
    assert join([good, Sample(good.descriptors, good.embeddings, good.probabilities)]).labels is None
