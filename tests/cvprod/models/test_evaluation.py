"""Metrics against numbers counted by hand."""

import json
import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from cvprod.measure import wilson
from cvprod.models import Evaluation, evaluate, predictor
from cvprod.surface import CLASSES, TileSet

N = len(CLASSES)


def hand_made(pairs):
    """An Evaluation from (true class, predicted class) pairs."""
    labels = np.array([CLASSES.index(true) for true, _ in pairs])
    logits = np.zeros((len(pairs), N), np.float32)
    logits[np.arange(len(pairs)), [CLASSES.index(seen) for _, seen in pairs]] = 5.0
    return Evaluation(logits, labels)


def test_metrics_of_a_hand_made_confusion():
    result = hand_made(
        [("clean", "clean")] * 6
        + [("clean", "scratches")] * 2  # two false rejects of eight
        + [("scratches", "scratches")] * 3
        + [("scratches", "inclusion")] * 1  # wrong name, but rejected
        + [("patches", "clean")] * 1  # the one missed defect of five
    )
    assert result.n == 13
    assert result.accuracy == pytest.approx(9 / 13)
    assert result.defect_recall == pytest.approx(4 / 5)
    assert result.false_reject_rate == pytest.approx(2 / 8)
    assert result.per_class == pytest.approx({"clean": 6 / 8, "patches": 0.0, "scratches": 3 / 4})
    assert result.hardest == "patches"
    assert result.confusion.sum() == 13
    assert result.confusion[CLASSES.index("scratches"), CLASSES.index("inclusion")] == 1
    assert result.counts("defect_recall") == (4, 5)


def test_metrics_without_any_tile_to_count_are_nan():
    result = hand_made([("patches", "patches")])
    assert math.isnan(result.false_reject_rate) and result.defect_recall == 1.0
    assert "clean" not in result.per_class
    with pytest.raises(ValueError, match=r"unknown metric 'f1'.*accuracy"):
        result.rate("f1")


def test_the_summary_is_json_whatever_is_missing():
    def strict(constant):
        raise ValueError(constant)

    whole = hand_made([("clean", "clean"), ("patches", "clean"), ("patches", "patches")]).summary()
    no_clean, only_clean = (hand_made([(name, name)]).summary() for name in ("patches", "clean"))
    assert (whole["false_reject_rate"], whole["defect_recall"]) == (0.0, 0.5)
    assert no_clean["false_reject_rate"] is None and no_clean["defect_recall"] == 1.0
    assert only_clean["defect_recall"] is None and only_clean["false_reject_rate"] == 0.0
    for summary in (whole, no_clean, only_clean):
        assert json.loads(json.dumps(summary), parse_constant=strict) == summary


def test_wilson_against_its_defining_equation_and_known_values():
    # the bounds p solve |hits / n - p| = z * sqrt(p (1 - p) / n)
    for hits, n in [(0, 10), (3, 10), (97, 100), (2000, 2000)]:
        for bound in wilson(hits, n):
            assert (hits / n - bound) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / n, rel=1e-6, abs=1e-12)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    low, high = wilson(97, 100)
    assert low < 0.97 < high and high < 1
    wide = wilson(97, 100, confidence=0.99)
    assert wide[0] < low and wide[1] > high
    for bad in [(5, 4), (-1, 4)]:
        with pytest.raises(ValueError, match="successes"):
            wilson(*bad)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=95)


def test_interval_belongs_to_its_metric():
    result = hand_made([("clean", "clean")] * 99 + [("clean", "patches")] + [("patches", "patches")] * 10)
    assert result.interval("false_reject_rate") == pytest.approx(wilson(1, 100))
    assert result.interval("defect_recall") == pytest.approx(wilson(10, 10))


def tile_set(n):
    images = np.random.default_rng(1).integers(0, 256, (n, 1, 96, 96), dtype=np.uint8)
    labels = images[:, 0, 0, 0].astype(np.int64) % N
    return TileSet(images, labels, [np.zeros((0, 4), np.int64)] * n)


def reader(images):
    """A perfect classifier of `tile_set`: the label is written in the first pixel."""
    assert images.dtype == np.uint8
    return np.eye(N, dtype=np.float32)[images[:, 0, 0, 0] % N]


@pytest.mark.parametrize("workers", [1, 3])
def test_evaluate_keeps_order_over_uneven_batches(workers):
    tiles = tile_set(50)

    def slow_at_first(images):
        time.sleep(0.05 * (len(images) == 16))  # the last batch, of two, is answered before the others
        return reader(images)

    result = evaluate(slow_at_first, tiles, batch=16, workers=workers)
    assert result.n == 50 and result.accuracy == 1.0
    assert np.array_equal(result.logits, reader(tiles.images))
    assert evaluate(lambda images: -reader(images), tiles).accuracy == 0.0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "broken, message",
    [
        (lambda images: reader(images)[:, :6], r"shape \(20, 6\)"),
        (lambda images: reader(images).argmax(1), r"shape \(20,\)"),
        (lambda images: reader(images) * np.nan, "not finite"),
    ],
)
def test_a_broken_export_is_an_error_not_a_bad_model(broken, message, workers):
    with pytest.raises(ValueError, match=message):
        evaluate(broken, tile_set(20), workers=workers)


def test_no_tiles_no_evaluation():
    with pytest.raises(ValueError, match="empty"):
        evaluate(reader, tile_set(3)[:0])


class _Probe(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.seen = []

    def forward(self, x):
        self.seen.append((len(x), torch.get_num_threads()))
        return self.drop(x.double().mean((2, 3)).repeat(1, N))


def test_predictor_batches_sets_threads_and_puts_them_back():
    module, before = _Probe().train(), torch.get_num_threads()
    tiles = tile_set(10)
    out = predictor(module, threads=1, batch=4)(tiles.images)
    assert [size for size, _ in module.seen] == [4, 4, 2] and {threads for _, threads in module.seen} == {1}
    assert torch.get_num_threads() == before
    assert out.dtype == np.float32 and out.shape == (10, N)
    # eval mode: dropout would have zeroed or doubled some of these
    np.testing.assert_allclose(out[:, 0], tiles.images.mean((1, 2, 3)), rtol=1e-5)


def test_classes_of_ones_own_are_scored_by_their_own_names():
    names = ("rust", "fine", "dent")
    labels = np.array([0, 1, 2, 2])
    said = np.eye(3, dtype=np.float32)[[0, 2, 1, 2]]  # a fine tile called dent, a dent called fine
    found = Evaluation(said, labels, names, "fine")
    assert found.accuracy == 0.5 and found.per_class == {"rust": 1, "fine": 0, "dent": 0.5}
    assert found.defect_recall == pytest.approx(2 / 3) and found.false_reject_rate == 1
    nothing_clean = Evaluation(said, labels, names, None)
    assert nothing_clean.defect_recall == 1 and np.isnan(nothing_clean.false_reject_rate)
    with pytest.raises(ValueError, match="not for 2 classes"):
        Evaluation(said, labels, ("a", "b"), None)
    with pytest.raises(ValueError, match="'clean' is none of"):
        Evaluation(said, labels, names)
    with pytest.raises(ValueError, match="not indices"):
        Evaluation(said, labels + 1, names, None)
