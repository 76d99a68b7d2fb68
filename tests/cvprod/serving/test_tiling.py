"""Frames into tiles and verdicts into boxes: properties that hold for every size, and cases with one right answer."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvprod.serving.tiling import Grid, cut, iou, locate, overlap, suppress
from cvprod.serving.verdict import judge
from cvprod.surface import to_input

CLASSES = ("clean", "crazing", "patches")


@st.composite
def grids(draw):
    tile = draw(st.integers(1, 40))
    return Grid.over(draw(st.integers(1, 150)), draw(st.integers(1, 150)), tile, draw(st.integers(0, tile - 1)))


@st.composite
def searched(draw):
    """A grid, and any verdict for each of its tiles."""
    grid = draw(grids().filter(lambda grid: grid.count <= 60))
    odds = np.random.default_rng(draw(st.integers(0, 2**32))).dirichlet((2, 1, 1), grid.count).astype(np.float32)
    return grid, judge(odds, CLASSES, 0.8)


def say(grid, alarms):
    """Verdicts of a grid: clean, but {number: (label, probability)}."""
    odds = np.tile(np.array([1, 0, 0], np.float32), (grid.count, 1))
    for number, (label, probability) in alarms.items():
        odds[number] = (1 - probability) / 2
        odds[number, CLASSES.index(label)] = probability
    return judge(odds, CLASSES, 0.8)


# --- the grid ---


@settings(max_examples=60, deadline=None)
@given(grids(), st.data())
def test_tiles_cover_every_pixel_stay_inside_and_overlap_as_much_as_asked(grid, data):
    seen = np.zeros((grid.height, grid.width), int)
    for x0, y0, x1, y1 in grid.windows:
        assert 0 <= x0 < x1 <= grid.width and 0 <= y0 < y1 <= grid.height
        assert x1 - x0 == min(grid.tile, grid.width) and y1 - y0 == min(grid.tile, grid.height)
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1 and len(grid.windows) == grid.count


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.integers(1, 60), st.data())
def test_neighbours_overlap_as_much_as_asked_and_no_tile_is_too_many(width, tile, data):
    asked = data.draw(st.integers(0, tile - 1))
    xs = Grid.over(1, width, tile, asked).xs
    assert all(0 < b - a <= tile - asked for a, b in itertools.pairwise(xs))
    if len(xs) > 1:  # one tile fewer could not reach from edge to edge
        assert (len(xs) - 2) * (tile - asked) + tile < width


def test_the_line_cameras_frame():
    grid = Grid.over(300, 4096, 224, 64)
    assert (len(grid.ys), len(grid.xs), grid.count) == (2, 26, 52)
    assert grid.ys == (0, 76) and grid.xs[0] == 0 and grid.xs[-1] == 4096 - 224


@pytest.mark.parametrize("bad", [(0, 9, 3, 0), (9, 0, 3, 0), (9, 9, 0, 0), (9, 9, 3, 3), (9, 9, 3, -1)])
def test_a_grid_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="no grid of tiles"):
        Grid.over(*bad)


# --- cutting ---


def test_a_tile_is_what_the_network_would_get_of_that_part():
    frame = np.random.default_rng(0).integers(0, 256, (301, 999), np.uint8)
    grid = Grid.over(*frame.shape, 224, 50)
    tiles = cut(frame, grid)
    assert tiles.shape == (grid.count, 1, 96, 96) and tiles.dtype == np.uint8
    for tile, (x0, y0, x1, y1) in zip(tiles, grid.windows, strict=True):
        assert np.array_equal(tile[0], to_input(np.ascontiguousarray(frame[y0:y1, x0:x1])))


def test_a_frame_smaller_than_a_tile_keeps_its_scale():
    frame = np.random.default_rng(1).integers(0, 256, (200, 130), np.uint8)
    mirrored = np.concatenate([frame, frame[:, ::-1]], axis=1)
    mirrored = np.concatenate([mirrored, mirrored[::-1]])[:224, :224]
    assert np.array_equal(cut(frame, Grid.over(200, 130, 224, 64))[0, 0], to_input(mirrored))


def test_a_grid_of_another_frame_is_refused():
    with pytest.raises(ValueError, match="the grid is for 300 x 200 px, the frame has"):
        cut(np.zeros((300, 200), np.uint8), Grid.over(200, 300, 96, 0))


# --- boxes ---


@settings(max_examples=60, deadline=None)
@given(searched())
def test_no_alarm_is_lost_and_no_box_leaves_the_frame(case):
    grid, verdicts = case
    found = locate(grid, verdicts)
    boxes = np.array([f.box for f in found], int).reshape(-1, 4)
    assert bool(found) == any(verdict.defect for verdict in verdicts)
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= grid.width and 0 <= y0 < y1 <= grid.height
    for window, verdict in zip(grid.windows, verdicts, strict=True):
        if verdict.defect:
            assert overlap(window[None], boxes).any()
    for f in found:  # what is said of a box was said by a tile that reaches into it
        own = [v for w, v in zip(grid.windows, verdicts, strict=True) if overlap(w[None], np.array([f.box])).any()]
        assert (f.label, f.probability, f.review) in [(v.label, v.probability, v.review) for v in own]
    assert found == locate(grid, verdicts) == sorted(found, key=lambda f: f.box)


def test_a_defect_that_is_longer_than_a_tile_is_one_box():
    grid = Grid.over(100, 1000, 100, 20)
    (found,) = locate(grid, say(grid, dict.fromkeys(range(2, 7), ("crazing", 0.9))))
    assert found.tiles == 5 and found.label == "crazing" and not found.review
    # the clean neighbours rule out what they see
    assert found.box == (grid.xs[1] + 100, 0, grid.xs[7], 100)


def test_neighbours_that_see_steel_narrow_a_box_and_those_that_see_it_too_do_not():
    grid = Grid.over(100, 260, 100, 20)
    assert grid.xs == (0, 80, 160)
    (alone,) = locate(grid, say(grid, {1: ("patches", 0.7)}))
    assert alone.box == (100, 0, 160, 100) and alone.review and alone.probability == pytest.approx(0.7)
    (both,) = locate(grid, say(grid, {1: ("patches", 0.7), 2: ("patches", 0.95)}))
    assert both.box == (100, 0, 260, 100) and both.probability == pytest.approx(0.95) and not both.review


def test_two_labels_of_one_defect_are_one_box_and_two_defects_are_two():
    grid = Grid.over(300, 224, 224, 64)  # both tiles show most of the frame
    (found,) = locate(grid, say(grid, {0: ("patches", 0.6), 1: ("crazing", 0.9)}))
    assert found.label == "crazing"
    wide = Grid.over(100, 500, 100, 0)
    found = locate(wide, say(wide, {0: ("crazing", 0.9), 1: ("patches", 0.9), 4: ("crazing", 0.9)}))
    assert [(f.label, f.box) for f in found] == [
        ("crazing", (0, 0, 100, 100)), ("patches", (100, 0, 200, 100)), ("crazing", (400, 0, 500, 100)),
    ]  # fmt: skip


def test_clean_steel_has_no_box_and_verdicts_must_be_as_many_as_tiles():
    grid = Grid.over(100, 260, 100, 20)
    assert locate(grid, say(grid, {})) == []
    with pytest.raises(ValueError, match="3 tiles, but 2 verdicts"):
        locate(grid, say(grid, {})[:2])


boxes = st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2), max_size=12)


@settings(max_examples=60, deadline=None)
@given(boxes, st.floats(0, 1), st.permutations(range(12)))
def test_suppression_keeps_the_best_and_nothing_that_it_covers(given, covered, scores):
    found = np.array([(x, y, x + w, y + h) for x, y, w, h in given], int).reshape(-1, 4)
    scores = scores[: len(given)]
    kept = suppress(found, scores, covered)
    assert bool(kept) == bool(given) and [scores[k] for k in kept] == sorted((scores[k] for k in kept), reverse=True)
    share = overlap(found, found) / np.prod(found[:, 2:] - found[:, :2], axis=1)[:, None]
    for k in range(len(given)):
        rivals = [other for other in kept if scores[other] > scores[k] and share[k, other] > covered]
        assert (k in kept) == (not rivals)
    again = suppress(found[kept], [scores[k] for k in kept], covered)
    assert again == list(range(len(kept))), "suppressing twice must be suppressing once"


def test_iou_by_hand():
    a, b = np.array([[0, 0, 10, 10], [0, 0, 5, 10]]), np.array([[5, 0, 15, 10], [50, 50, 60, 60]])
    assert overlap(a, b).tolist() == [[50, 0], [0, 0]]
    assert iou(a, b)[0].tolist() == [pytest.approx(1 / 3), 0]
    assert iou(a, a).diagonal().tolist() == [1, 1] and iou(a, a[:0]).shape == (2, 0)
