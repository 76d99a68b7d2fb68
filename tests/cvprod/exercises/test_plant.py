"""What capstone 3 draws: the same for a seed everywhere, and as its text says."""

from collections import Counter

import numpy as np
import pytest

from cvprod.exercises import plant
from cvprod.surface import CLASSES, load_folder


def test_same_seed_draws_the_same_case_and_another_seed_another_one():
    for draw in (plant.delivery, plant.coils, plant.conversion, plant.history):
        assert repr(draw(5)) == repr(draw(5))
        assert repr(draw(5)) != repr(draw(6))
    assert plant.version("equal", 5) == plant.version("equal", 5) != plant.version("equal", 6)


def test_recording_is_of_the_tiles_in_the_pool():
    """Sound engines agree with the reference, and know the tiles that this machine generates."""
    _, labels = plant.pool()
    logits = plant.recorded()
    reference = logits["PyTorch"].argmax(1)
    assert np.mean(reference == labels) > 0.9
    for name, least, most in (
        ("ONNX Runtime", 0.995, 1), ("ONNX Runtime INT8", 0.97, 1),
        ("INT8, calibrated in the dark", 0, 0.95), ("ONNX Runtime, nearest pixel", 0, 0.95),
    ):  # fmt: skip
        assert logits[name].shape == (plant.POOL, len(CLASSES))
        assert least <= np.mean(logits[name].argmax(1) == reference) <= most, name


@pytest.mark.parametrize("seed", range(4))
def test_delivery_has_every_fault_and_can_be_read_where_it_says_so(seed, tmp_path):
    files, truth = plant.delivery(seed)
    assert set(files) == set(truth)
    count = Counter(about["verdict"] for about in truth.values())
    assert set(count) == set(plant.VERDICTS) and count["keep"] > len(files) / 2
    images, labels = plant.pool()
    for path, about in truth.items():
        assert (about["tile"] is None) == (about["verdict"] in ("litter", "unreadable"))
        if about["verdict"] == "keep":
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(files[path])
    read = load_folder(tmp_path / "train")
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert all(known[image.tobytes()] == label for image, label in zip(read.images, read.labels, strict=True))


def test_groups_of_coils_are_closed():
    """Two tiles with a coil, a parent or a picture in common are never in two groups."""
    for seed in range(5):
        tiles, group = plant.coils(seed)
        of = {}
        for tile, number in zip(tiles, group, strict=True):
            picture = min(tile["picture"].tobytes(), tile["picture"][:, ::-1].tobytes())
            for key in (picture, tile["coil"], tile["parent"]):
                if key is not None:
                    assert of.setdefault(key, number) == number
        assert len(set(group)) > 15


def test_unknown_version_is_named():
    with pytest.raises(ValueError, match="there are equal"):
        plant.version("best", 1)
