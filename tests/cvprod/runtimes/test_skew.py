"""Each way of reading pictures is held against the right one on the same files, tile by tile."""

import numpy as np
import pytest

from cvprod import surface
from cvprod.runtimes import skew


@pytest.fixture(scope="module")
def camera():
    return surface.make_set(14, 5, size=surface.TILE_SIZE)


def by_brightness(x):
    """Logits of a classifier that goes by the mean grey level alone."""
    return -np.abs(np.asarray(x, np.float32).mean((1, 2, 3))[:, None] - np.arange(7) * 36.0)


def test_tiles_lost_and_won_are_counted_one_by_one(monkeypatch):
    answers = {"right": [0, 1, 2, 3, 4, 5], "other": [0, 6, 6, 3, 4, 6]}  # by the first path, by the other
    tiles = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    camera = surface.TileSet(
        tiles, np.array([0, 1, 3, 3, 5, 6]), [np.empty((0, 4))] * 6
    )  # the first path errs on tiles 2, 4 and 5

    def path(name):
        return lambda data: np.full((1, 2, 2), answers[name][data[0]], np.uint8)

    monkeypatch.setattr(skew, "jpeg", lambda tile, quality, tint=None: bytes([tile[0, 0]]))
    monkeypatch.setattr(skew, "PATHS", {"": {skew.REFERENCE: path("right")}, "kind": {"other": path("other")}})
    monkeypatch.setattr(skew, "COLOUR", {"": {"ok": path("right")}})
    found = skew.by_name(skew.measure(lambda x: np.eye(7)[x[:, 0, 0, 0]], camera))
    # Tile 1 is lost, tile 5 won; tile 2 changes from one wrong answer to another.
    assert found["other"] == skew.Skew("kind", "other", 0.5, 1, 1, 0.5, pytest.approx(10 / 6), 5.0)
    assert found[skew.REFERENCE] == skew.Skew("", skew.REFERENCE, 0.0, 0, 0, 0.0, 0.0, 0.0)


def test_right_paths_differ_from_nothing_and_are_no_rows(camera):
    found = skew.measure(by_brightness, camera)
    right = [s for s in found if not s.kind]
    assert [s.name for s in right] == [skew.REFERENCE, "colour order right"]
    assert all((s.changed, s.lost, s.won, s.moved, s.largest) == (0, 0, 0, 0, 0) for s in right)
    table = skew.table(found)
    assert len(table) == len(found) - 2 and skew.REFERENCE not in table.index
    assert table.loc["inverted", "pixels changed, %"] > 99
    assert table.loc["0..1 in place of 0..255", "answers changed, %"] > 50


def test_colours_are_judged_on_their_own_files(camera, monkeypatch):
    # A lamp without a colour: the order cannot matter, though every pixel is darker than in the grey files.
    monkeypatch.setattr(skew, "WARM", np.full(3, 0.5))
    found = skew.by_name(skew.measure(by_brightness, camera))
    assert found["colour order swapped"].moved < 0.01 and found["colour order swapped"].changed == 0
