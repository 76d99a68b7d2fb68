"""The last layer: what is trained on is what the box computes, and a fit finds what was planted."""

import numpy as np
import onnxruntime as ort
import pytest

from cvprod.mlops import heads
from cvprod.serving.card import read
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.surface import make_set


@pytest.fixture(scope="module")
def tiles():
    return make_set(28, 41)


def logits(model, images):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {session.get_inputs()[0].name: images})[0]


def test_embeddings_and_head_together_are_the_served_network(tiles):
    backbone = heads.shipped()
    found = backbone.head.logits(backbone.run(tiles.images))
    np.testing.assert_allclose(found, logits(read(DEFAULT_MODEL)[1], tiles.images), atol=1e-3)


def test_a_new_head_is_the_only_change_in_the_file(tiles):
    backbone = heads.shipped()
    new = heads.Head(backbone.head.weight * 0.5, backbone.head.bias + 1)
    model = backbone.with_head(new)
    np.testing.assert_allclose(logits(model, tiles.images), new.logits(backbone.run(tiles.images)), atol=1e-3)
    again = heads.Backbone.parse(model)
    assert np.array_equal(again.run(tiles.images), backbone.run(tiles.images))
    assert np.array_equal(heads.head_of(model).weight, new.weight)
    assert backbone.with_head(new) == model, "the same head gives the same bytes, so the same digest"


def test_a_network_that_ends_otherwise_is_refused():
    import onnx

    graph = onnx.load_from_string(heads.shipped().model)
    graph.graph.node[-1].input[1] = "another.weight"
    with pytest.raises(ValueError, match="must end in Gemm"):
        heads.Backbone.parse(graph.SerializeToString())


def planted(n=600, seed=3):
    """Embeddings whose classes a linear layer can tell, and which the shipped layer cannot."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    centres = rng.normal(0, 1, (7, 96))
    return (centres[labels] + rng.normal(0, 0.6, (n, 96))).astype(np.float32), labels


def test_fit_finds_a_planted_layer_and_is_repeatable():
    x, y = planted()
    start = heads.shipped().head
    head = heads.fit(x[:400], y[:400], start)
    assert start.accuracy(x[400:], y[400:]) < 0.5 < 0.95 < head.accuracy(x[400:], y[400:])
    again = heads.fit(x[:400], y[:400], start)
    assert np.array_equal(head.weight, again.weight) and np.array_equal(head.bias, again.bias)


def test_a_strong_pull_keeps_the_old_layer_and_weights_count():
    x, y = planted()
    start = heads.shipped().head
    near, far = (heads.fit(x, y, start, pull=pull) for pull in (1e3, 1e-4))
    assert np.abs(near.weight - start.weight).max() < 0.01 < np.abs(far.weight - start.weight).max()
    flipped = np.concatenate([y[:300], (y[300:] + 1) % 7])
    only_first = heads.fit(x, flipped, start, weights=np.r_[np.ones(300), np.full(300, 1e-9)])
    assert only_first.accuracy(x, y) > 0.95


def test_what_does_not_fit_together_says_so():
    x, y = planted(20)
    with pytest.raises(ValueError, match="as many of both"):
        heads.fit(x, y[:-1], heads.shipped().head)
    with pytest.raises(ValueError, match="as many of both"):
        heads.fit(x[:0], y[:0], heads.shipped().head)
    with pytest.raises(ValueError, match="weight"):
        heads.Head(np.zeros((3, 96)), np.zeros(7))


def test_digest_sees_a_value_a_type_and_a_shape():
    a = np.arange(6, dtype=np.int32)
    assert heads.digest(a) == heads.digest(a.copy())
    assert len({heads.digest(b) for b in (a, a + 1, a.astype(np.int64), a.reshape(2, 3))}) == 4
