"""Deltas restore the new file exactly, save where there is something to save, and refuse what is damaged."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvprod.edge import delta


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_every_pair_of_files_round_trips(old, new):
    for stride in delta.STRIDES:
        assert delta.apply(old, delta._make(old, new, stride)) == new
    assert delta.apply(old, delta.make(old, new)) == new


def test_equal_files_cost_next_to_nothing():
    data = np.random.default_rng(0).bytes(100_000)
    assert len(delta.make(data, data).data) < 200


@pytest.mark.parametrize(("kind", "stride"), [("<f4", 4), ("<f2", 2), ("i1", 1)])
def test_retrained_weights_shrink_and_the_word_length_of_their_type_wins(kind, stride):
    rng = np.random.default_rng(0)
    old = rng.normal(size=20_000)
    if kind == "i1":
        before = np.clip(np.rint(old * 40), -127, 127).astype(kind)
        after = np.clip(before + rng.integers(-1, 2, before.size), -127, 127).astype(kind)
    else:
        # about 30 units in the last place of float16, and a like share for float32
        before, after = old.astype(kind), (old * (1 + 1e-3 * rng.normal(size=old.size))).astype(kind)
    made = delta.make(before.tobytes(), after.tobytes())
    assert made.stride == stride
    assert len(made.data) < 0.8 * after.nbytes
    assert len(made.data) < 0.9 * len(zlib.compress(after.tobytes(), 9))


def test_the_saving_depends_on_how_far_the_weights_moved():
    rng = np.random.default_rng(0)
    old, noise = rng.normal(size=20_000), rng.normal(size=20_000)
    before = old.astype("<f4").tobytes()
    sizes = [len(delta.make(before, (old + step * noise).astype("<f4").tobytes()).data) for step in (1e-5, 1e-3, 1e-1)]
    assert sizes[0] < 0.85 * sizes[1] < 0.85 * 0.95 * sizes[2]


def test_an_unrelated_file_saves_nothing_and_says_so_by_its_size():
    rng = np.random.default_rng(0)
    assert len(delta.make(rng.bytes(50_000), rng.bytes(50_000)).data) > 49_000


def test_the_format_is_what_the_documentation_says():
    """Undone by hand for one word: 5 -> 3 is -2, zigzag 3, little-endian planes, raw DEFLATE."""
    old, new = (5).to_bytes(4, "little"), (3).to_bytes(4, "little")
    assert zlib.decompress(delta._make(old, new, 4).data, -15) == bytes([3, 0, 0, 0])


def test_damage_is_refused():
    old, new = b"a" * 1000, bytes(range(250)) * 4
    good = delta.make(old, new)
    for bad in (
        delta.Delta(good.data[:-5], good.stride, good.size),
        delta.Delta(good.data + b"x", good.stride, good.size),
        delta.Delta(good.data, good.stride, good.size + 4),
        delta.Delta(good.data, good.stride, good.size - 4),
        delta.Delta(b"\xff\xff\xff", 1, 10),
        delta.Delta(good.data, 3, good.size),
    ):
        with pytest.raises(delta.DeltaError):
            delta.apply(old, bad)


def test_a_bomb_is_not_unpacked():
    """A gigabyte of zeros behind a promise of ten bytes must not be inflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    with pytest.raises(delta.DeltaError, match="unpacks to 11"):
        delta.apply(b"", delta.Delta(bomb, 1, 10))
