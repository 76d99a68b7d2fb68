"""A copy learns from answers over HTTP; from fewer words it learns labels."""

import numpy as np
import pytest
import torch

from cvprod.models import predictor
from cvprod.optimize.zoo import load_student
from cvprod.security import extraction
from cvprod.security.api import ApiError, Client, Told, encode
from cvprod.serving import auth
from cvprod.stack.service import Service
from cvprod.surface import CLASSES, make_set


@pytest.fixture(scope="module")
def tiles():
    return make_set(35, 77)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service("--workers", 1, "--latency-budget-ms", 1000, "--idle-seconds", 1) as running:
        yield running


def test_answers_are_those_of_the_model(service, tiles):
    from cvprod.serving.model import Model
    from cvprod.serving.settings import DEFAULT_MODEL

    model = Model.load(DEFAULT_MODEL)
    wanted = model.probabilities(model.run(tiles.images))
    with Client(service.port) as client:
        told = client.inspect(tiles.images)
        assert client.queries == len(tiles)
        assert np.allclose(told.probabilities, wanted, atol=1e-4) and told.complete
        assert (told.labels == wanted.argmax(1)).all()
        assert (client.predict(tiles.images).argmax(1) == told.labels).all()


def test_a_connection_that_was_closed_is_opened_again(service, tiles):
    import time

    with Client(service.port) as client:
        client.ask(tiles.images[0])
        time.sleep(2.5)  # longer than the service lets a connection be silent
        assert client.ask(tiles.images[0])["label"] in CLASSES


def test_a_refusal_is_an_error_with_its_problem(tmp_path):
    auth.add(tmp_path / "keys", "camera")
    with (
        Service("--workers", 1, "--api-keys", tmp_path / "keys") as guarded,
        Client(guarded.port) as client,
        pytest.raises(ApiError, match="401"),
    ):
        client.ask(np.zeros((1, 96, 96), np.uint8))


def test_png_keeps_every_pixel_and_jpeg_does_not(tiles):
    from cvprod.serving.images import to_tile

    assert (to_tile(encode(tiles.images[0])) == tiles.images[0, 0]).all()
    lossy = to_tile(encode(tiles.images[0], 75)).astype(int) - tiles.images[0, 0]
    assert 0 < np.abs(lossy).max() < 60


@pytest.mark.parametrize("complete", [True, False])
def test_a_copy_learns_what_it_was_told_and_its_start_stays(complete, tiles):
    """The "service" calls every class by the next one's name: whoever learns that, has it from the answers."""
    labels = (tiles.labels + 1) % 7
    table = np.full((35, 7), 0.01, np.float32)
    table[np.arange(35), labels] = 0.94
    start = load_student("student_nas")
    before = {key: value.clone() for key, value in start.state_dict().items()}
    made = extraction.copy_model(tiles.images, Told(labels, table, complete), start=start, steps=60, batch=35, lr=3e-3)
    assert (predictor(made)(tiles.images).argmax(1) == labels).mean() > 0.8
    assert all(torch.equal(before[key], value) for key, value in start.state_dict().items())


def test_a_new_network_has_the_width_that_was_asked_for(tiles):
    told = Told(tiles.labels, np.full((35, 7), 1 / 7, np.float32), True)
    made = extraction.copy_model(tiles.images, told, width=8, steps=1)
    assert made.body.stem[0].out_channels == 8 and not made.training


def test_agreement_counts_equal_labels():
    def says(answers):
        return lambda _: np.eye(7)[answers]

    tiles = np.zeros((4, 1, 96, 96), np.uint8)
    assert extraction.agreement(says([0, 1, 2, 3]), says([0, 1, 2, 4]), tiles) == 0.75
