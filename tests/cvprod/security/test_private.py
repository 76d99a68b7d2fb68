"""Membership, differential privacy, encryption and split inference do what they say."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from cvprod.optimize.zoo import load_student
from cvprod.security import membership, private
from cvprod.surface import make_set


@pytest.fixture(scope="module")
def network():
    return load_student("student_nas")


@pytest.fixture(scope="module")
def tiles():
    return make_set(240, 12, conditions="wide")


@pytest.fixture(scope="module")
def data(network, tiles):
    """Features of members and others, labels with slips."""
    labels = tiles.labels.copy()
    slips = np.random.default_rng(0).random(len(labels)) < 0.2
    labels[slips] = np.random.default_rng(1).integers(0, 7, slips.sum())
    seen = private.features(network, tiles.images)
    x, other = private.standardise(seen[:120], seen[120:])
    return x, labels[:120], other, labels[120:]


def test_features_and_head_are_the_network(network, tiles):
    import torch

    few = tiles.images[:5]
    weight, bias = private.load_head(network)
    with torch.inference_mode():
        logits = network(torch.from_numpy(few)).numpy()
    assert np.allclose(private.features(network, few) @ weight.T + bias, logits, atol=1e-4)


def test_auc_is_the_share_of_pairs():
    rng = np.random.default_rng(0)
    a, b = np.round(rng.normal(0, 1, 40), 1), np.round(rng.normal(0.5, 1, 30), 1)
    pairs = np.mean([(x < y) + 0.5 * (x == y) for x in a for y in b])
    assert membership.auc(a, b) == pytest.approx(pairs)
    assert membership.auc(np.zeros(3), np.ones(4)) == 1 and membership.auc(np.ones(5), np.ones(2)) == 0.5
    with pytest.raises(ValueError, match="members and of others"):
        membership.auc(a, b[:0])


def test_what_is_learnt_by_heart_shows_and_dp_sgd_hides_it(data):
    x, y, other, truth = data
    plain = private.plain_head(x, y)
    hidden, epsilon = private.private_head(x, y, noise=2.3)

    def risk(head):
        return membership.auc(*(membership.losses(private.answers(head, a), b) for a, b in ((x, y), (other, truth))))

    assert 0 < epsilon < 12
    assert risk(plain) > 0.58 and risk(hidden) < risk(plain) - 0.05


def test_more_noise_spends_less(data):
    x, y, *_ = data
    loud, quiet = (private.private_head(x, y, noise=noise, epochs=3)[1] for noise in (4.0, 1.0))
    assert loud < quiet / 2


def test_a_delta_that_gives_a_tile_away_is_refused(data):
    with pytest.raises(ValueError, match="below one in 120"):
        private.private_head(data[0], data[1], delta=0.01)


def test_the_encrypted_head_is_the_plain_one_and_travels_as_more_bytes(network, data):
    weight, bias = private.load_head(network)
    vector = private.features(network, make_set(1, 5).images)[0]
    # TenSEAL has died in processes that had loaded many other native libraries before it; in one of its own it has not.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as own:
        found = own.submit(private.encrypted_head, vector, weight, bias).result()
    assert np.allclose(found.logits, weight @ vector + bias, atol=1e-3)
    assert found.sent_bytes > 100 * found.plain_bytes == 100 * vector.nbytes


def test_every_split_is_the_whole_network(network, tiles):
    import torch

    few = torch.from_numpy(tiles.images[:4])
    with torch.inference_mode():
        whole = network(few)
        for split in private.splits(network):
            assert torch.allclose(split.server(split.device(few)), whole, atol=1e-4), split.name


def test_early_activations_show_the_tile_and_late_ones_little(network, tiles):
    known, secret = tiles.images[:180], tiles.images[180:]
    shown = {s.name: private.explained(private.reconstruct(s, known, secret), secret) for s in private.splits(network)}
    assert shown["first convolution"] > 0.5 > shown["before the head"] + 0.1


def test_explained_is_one_for_the_tile_and_nothing_for_its_mean(tiles):
    small = private.small(tiles.images)
    assert private.explained(small, tiles.images) == 1
    flat = np.broadcast_to(small.mean((1, 2), keepdims=True), small.shape)
    assert private.explained(flat, tiles.images) == pytest.approx(0)
