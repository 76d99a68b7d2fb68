"""Frames: the same bytes from the same seed, defects where the boxes say, steel that does not repeat."""

import hashlib

import numpy as np
import pytest

from cvprod.surface import CLASSES, HARDEST_ROUTINE, TILE_SIZE, Conditions, frames, make_frame
from cvprod.surface.defects import DRAW
from cvprod.surface.frames import APART

QUIET = Conditions(noise=0)


def test_a_frame_is_what_it_says():
    labels = set()
    for frame in frames(12, seed=3, height=260, width=1900):
        assert frame.image.shape == (260, 1900) and frame.image.dtype == np.uint8
        assert len(frame.labels) == len(frame.boxes) <= 4 and (frame.labels > 0).all()
        labels |= set(frame.labels.tolist())
        x0, y0, x1, y1 = frame.boxes.T
        assert (x0 >= 0).all() and (y0 >= 0).all() and (x1 <= 1900).all() and (y1 <= 260).all()
        assert (x1 > x0).all() and (y1 > y0).all()
        assert (x0[1:] - x1[:-1] >= APART).all(), "two defects must not run into each other"
    assert len(labels) >= 5


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    a, b, c = (make_frame(seed, 2, width=1000, conditions=HARDEST_ROUTINE) for seed in (5, 5, 6))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.boxes, b.boxes)
    assert not np.array_equal(a.image, c.image)
    assert hashlib.sha256(make_frame(7, ["scratches", "patches"], width=1200).image).hexdigest() == (
        "a31ff10319d27b0fd967d49ab82ed42a8ff8e25220be162b932da661bd290771"
    )


@pytest.mark.parametrize("kind", CLASSES[1:])
def test_a_defect_changes_the_steel_in_its_box_and_nothing_outside_its_tile(kind, monkeypatch):
    def faint(tile, rng, strength):
        before = tile.copy()
        draw(tile, rng, strength)
        tile[:] = before + (tile - before) / np.float32(1e4)

    draw, share = DRAW[kind], []
    for seed in range(6):
        with_it = make_frame(seed, [kind], width=1000, conditions=QUIET)
        with monkeypatch.context() as patch:
            patch.setitem(DRAW, kind, faint)
            without = make_frame(seed, [kind], width=1000, conditions=QUIET)
        assert with_it.labels.tolist() == [CLASSES.index(kind)]
        change = np.abs(with_it.image.astype(int) - without.image)
        x0, y0, x1, y1 = with_it.boxes[0]
        rows, columns = (np.flatnonzero(change.any(axis)) for axis in (1, 0))
        assert np.ptp(rows) < TILE_SIZE and np.ptp(columns) < TILE_SIZE
        assert change[y0:y1, x0:x1].max() >= 8, "a defect that nobody can see"
        share.append(change[y0:y1, x0:x1].sum() / change.sum())
    assert min(share) > 0.5 and np.median(share) > 0.8


def test_steel_goes_on_and_does_not_come_again():
    image = make_frame(1, 0, conditions=QUIET).image.astype(float)
    rows = image - image.mean(axis=1, keepdims=True)
    grain = np.diff(rows, axis=1)
    for shift in (224, 384, 448, 512, 1024, 2048):
        a, b = grain[:, :-shift].ravel(), grain[:, shift:].ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.1, f"the steel repeats after {shift} pixels"
    strength = grain.std(axis=0)
    seams = [s + d for s in range(448, 4000, 448) for d in (0, 32, 63)]
    assert 0.7 < np.median(strength[seams]) / np.median(strength) < 1.4, "a seam shows"


def test_what_cannot_be_made_is_told_in_one_sentence():
    for words, arguments, options in (
        ("seed must be", (-1,), {}),
        ("seed must be", (True,), {}),
        ("at least 224 x 224", (1,), {"height": 100}),
        ("do not fit into this width, only 1", (1, 2), {"width": 500}),
        ("clean steel is no defect", (1, ["clean"]), {}),
        ("unknown class", (1, ["rust"]), {}),
        ("rotation=0", (1,), {"conditions": Conditions(rotation=1.0)}),
    ):
        with pytest.raises(ValueError, match=words):
            make_frame(*arguments, **options)
