"""The vectors that the phone apps are held to: the stated arithmetic is OpenCV's, and the committed files are fresh."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvprod.edge import vectors
from cvprod.models import shipped
from cvprod.optimize import zoo
from cvprod.repo import root
from cvprod.surface import CLASSES, make_set, to_input

FOLDER = root() / "deploy" / "mobile" / "vectors"
needs_weights = pytest.mark.skipif(
    not set(vectors.NETWORKS) & {*shipped(), *shipped(zoo.WEIGHTS)}, reason="no network has weights yet"
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([224, 200]))
def test_integer_area_averaging_is_opencv_to_the_last_grey_level(seed, size):
    tile = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    assert np.array_equal(vectors.area(tile), to_input(tile))


def test_and_on_the_hardest_tiles_and_on_real_ones():
    hard = [np.kron(np.indices((112, 112)).sum(0) % 2, np.ones((2, 2))) * 255, np.tile([0, 255], (224, 112))]
    for tile in [
        *(t.astype(np.uint8) for t in hard),
        *make_set(7, 3, size=224).images[:, 0],
        *vectors.tiles().values(),
    ]:
        assert np.array_equal(vectors.area(tile), to_input(tile))


def test_other_resizers_fail_the_pattern():
    """A vector set on which the usual mistake passes would be worthless."""
    tile = vectors.tiles()["pattern"]
    for wrong in (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC):
        off = np.abs(cv2.resize(tile, (96, 96), interpolation=wrong).astype(int) - to_input(tile))
        assert off.max() > 50


def test_area_says_what_it_takes():
    with pytest.raises(ValueError, match="square"):
        vectors.area(np.zeros((100, 120), np.uint8))


def test_update_example_is_deterministic_and_sound(tmp_path):
    assert vectors.update_example() == vectors.update_example()
    for name, content in vectors.update_example().items():
        (tmp_path / name).write_bytes(content)
    assert vectors._stale_update(tmp_path) == []
    (tmp_path / "manifest.json").write_bytes((tmp_path / "forged.json").read_bytes())
    assert "signed" in vectors._stale_update(tmp_path)[0]


@needs_weights
def test_written_vectors_are_fresh_small_and_any_change_shows(tmp_path):
    assert vectors.write(tmp_path) < vectors.MAX_BYTES
    assert vectors.stale(tmp_path) == []
    for name in ("tiles.bin", "tensors.bin"):
        data = bytearray((tmp_path / name).read_bytes())
        data[1000] ^= 1
        (tmp_path / name).write_bytes(data)
    document = json.loads((tmp_path / "vectors.json").read_text())
    document["vectors"][1]["logits"][0] += 0.1
    (tmp_path / "vectors.json").write_text(json.dumps(document))
    (tmp_path / "clean.png").write_bytes((tmp_path / "pattern.png").read_bytes())
    found = " ".join(vectors.stale(tmp_path))
    for what in ("tiles.bin", "tensors.bin", "logits", "clean.png", "python -m cvprod.edge vectors"):
        assert what in found


@needs_weights
def test_the_committed_vectors_are_fresh():
    assert vectors.stale(FOLDER) == []


def test_the_committed_vectors_read_back_as_the_readme_says():
    """What a Kotlin or Swift test does, in the same few steps."""
    if not (FOLDER / "vectors.json").is_file():
        pytest.skip("no vectors written yet")
    document = json.loads((FOLDER / "vectors.json").read_text())
    tiles, tensors = (FOLDER / "tiles.bin").read_bytes(), (FOLDER / "tensors.bin").read_bytes()
    for vector in document["vectors"]:
        tile = np.frombuffer(tiles, np.uint8, 224 * 224, vector["tile_offset"]).reshape(224, 224)
        tensor = np.frombuffer(tensors, np.uint8, 96 * 96, vector["tensor_offset"]).reshape(96, 96)
        assert np.array_equal(cv2.imread(str(FOLDER / vector["png"]), cv2.IMREAD_UNCHANGED), tile)
        assert np.array_equal(vectors.area(tile), tensor)
        assert document["classes"][int(np.argmax(vector["logits"]))] == vector["label"]


def test_every_class_has_a_tile_that_the_network_is_sure_of():
    document = json.loads((FOLDER / "vectors.json").read_text())
    steel = [v for v in document["vectors"] if v["name"] in CLASSES]
    assert [v["name"] for v in steel] == [v["label"] for v in steel] == list(CLASSES)
    for vector in steel:
        odds = np.exp(np.array(vector["logits"]) - max(vector["logits"]))
        assert odds.max() / odds.sum() > 0.85, vector["name"]
