"""Pictures: the pixels of training for every sound file, a name for what is wrong with the others, never a crash."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvprod.lab import hostile as pictures
from cvprod.serving import images
from cvprod.serving.errors import KINDS, InvalidImage
from cvprod.surface import read_image, to_input

SOUND, HOSTILE = pictures.sound(), pictures.hostile()


@pytest.mark.parametrize("name", SOUND)
def test_pixels_are_those_of_training(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(SOUND[name])
    expected, found = read_image(path), images.decode(SOUND[name])
    assert found.dtype == np.uint8 and found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected).max()
    assert difference <= (2 if name.startswith("jpeg colour") or "progressive" in name else 0)
    header = images.probe(SOUND[name])
    assert {header.width, header.height} == set(expected.shape)
    assert np.array_equal(images.to_tile(SOUND[name]), to_input(found))


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_is_named(name):
    data, slug = HOSTILE[name]
    with pytest.raises(InvalidImage) as caught:
        images.decode(data)
    assert caught.value.slug == slug
    assert 400 <= KINDS[slug].status < 500 and caught.value.detail and "/" not in caught.value.detail


def test_the_limit_is_checked_before_anything_is_allocated():
    with pytest.raises(InvalidImage) as caught:
        images.decode(SOUND["jpeg grey"], max_pixels=224 * 224 - 1)
    assert caught.value.slug == "image-too-large"
    images.decode(SOUND["jpeg grey"], max_pixels=224 * 224)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.data())
def test_damaged_files_decode_or_are_refused(name, data):
    file = bytearray(SOUND[name][:30_000])
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del file[data.draw(st.integers(1, len(file))) :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = images.decode(bytes(file), max_pixels=2_000_000)
    except InvalidImage as refused:
        assert refused.slug in KINDS
    else:
        assert found.dtype == np.uint8 and found.ndim == 2 and found.size <= 2_000_000


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"]))
def test_noise_is_refused(noise, magic):
    with pytest.raises(InvalidImage):
        images.decode(magic + noise, max_pixels=1_000_000)
