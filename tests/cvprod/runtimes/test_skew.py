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
    tiles = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    camera = surface.TileSet(
        tiles, np.array([0, 1, 3, 3, 5, 6]), [np.empty((0, 4))] * 6
    )  # the first path errs on tiles 2, 4 and 5

    def path(name):
        return lambda data: np.full((1, 8, 8), answers[name][data[0]], np.uint8)

    monkeypatch.setattr(skew, "jpeg", lambda tile, quality, tint=None: bytes([tile[0, 0]]))
    monkeypatch.setattr(skew, "PATHS", {"": {skew.REFERENCE: path("right")}, "kind": {"other": path("other")}})
    for group in ("COLOUR", "TURNED", "WIDE"):
        monkeypatch.setattr(skew, group, {"": {"ok": path("right")}})
    monkeypatch.setattr(skew, "turned", lambda tile, quality: bytes([tile[0, 0]]))
    found = skew.by_name(skew.measure(lambda x: np.eye(7)[x[:, 0, 0, 0]], camera))
    # Tile 1 is lost, tile 5 won; tile 2 changes from one wrong answer to another.
    assert found["other"] == skew.Skew("kind", "other", 0.5, 1, 1, 0.5, pytest.approx(10 / 6), 5.0)
    assert found[skew.REFERENCE] == skew.Skew("", skew.REFERENCE, 0.0, 0, 0, 0.0, 0.0, 0.0)


def test_right_paths_differ_from_nothing_and_are_no_rows(camera):
    found = skew.measure(by_brightness, camera)
    right = [s for s in found if not s.kind]
    assert [s.name for s in right] == [skew.REFERENCE, "colour order right", "EXIF obeyed", "middle square"]
    assert all((s.changed, s.lost, s.won, s.moved, s.largest) == (0, 0, 0, 0, 0) for s in right)
    table = skew.table(found)
    assert len(table) == len(found) - len(right) and skew.REFERENCE not in table.index
    assert table.loc["inverted", "pixels changed, %"] > 99
    assert table.loc["0..1 in place of 0..255", "answers changed, %"] > 50


def test_colours_are_judged_on_their_own_files(camera, monkeypatch):
    # A lamp without a colour: the order cannot matter, though every pixel is darker than in the grey files.
    monkeypatch.setattr(skew, "WARM", np.full(3, 0.5))
    found = skew.by_name(skew.measure(by_brightness, camera))
    assert found["colour order swapped"].moved < 0.01 and found["colour order swapped"].changed == 0


def test_a_turned_picture_reads_as_it_stood_where_exif_is_obeyed(camera):
    tile = camera.images[0, 0]
    data = skew.turned(tile, 100)
    assert np.abs(skew.grey(data).astype(int) - tile).max() <= 3  # JPEG's losses alone
    lying = np.asarray(skew._by_pillow(data)).astype(int)
    assert np.abs(lying - np.rot90(tile)).max() <= 3 and np.abs(lying - tile).mean() > 3


def test_limited_range_is_video_s_and_back():
    grey = np.arange(256, dtype=np.uint8)[None]
    assert skew._video(grey)[0, [0, 255]].tolist() == [16, 235]
    assert skew._stretched(grey)[0, [0, 16, 235, 255]].tolist() == [0, 0, 255, 255]
    assert np.abs(skew._stretched(skew._video(grey)).astype(int) - grey).max() <= 1


def test_a_wide_picture_is_cropped_barred_or_squashed():
    picture = np.full((6, 8), 9, np.uint8)
    picture[:, [0, -1]] = 200  # what only a crop leaves out
    assert skew._middle(picture).shape == (6, 6) and (skew._middle(picture) == 9).all()
    barred = skew._barred(picture)
    assert barred.shape == (8, 8) and (barred[[0, -1]] == 0).all() and np.array_equal(barred[1:-1], picture)


def test_rows_of_one_kind_stand_together(camera):
    kinds = [s.kind for s in skew.measure(by_brightness, camera)]
    assert kinds == sorted(kinds, key=list(dict.fromkeys(kinds)).index)
    assert kinds.count("geometry") == 4
