"""Pictures: the pixels of training for every sound file, a name for what is wrong with the others, never a crash."""

import io
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cvprod.serving import images
from cvprod.serving.errors import KINDS, InvalidImage
from cvprod.surface import read_image, to_input
from cvprod.traffic import hostile as pictures

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


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_orientation_is_that_of_exif(kind, mode):
    picture = (pictures.GREY if mode == "L" else pictures.COLOUR).crop((0, 0, 120, 80))
    for tag in range(10):  # 0 and 9 mean nothing
        file = pictures.encode(picture, kind, exif=pictures.oriented(tag))
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("L"))
        found = images.decode(file)
        assert found.shape == expected.shape, tag
        assert np.abs(found.astype(int) - expected).max() <= (2 if (kind, mode) == ("JPEG", "RGB") else 0), tag


@pytest.mark.parametrize("tag", [None, 1, 6])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_damaged_scan_is_refused_whatever_its_exif_says(tag, progressive):
    exif = {} if tag is None else {"exif": pictures.oriented(tag)}
    jpeg = pictures.encode(pictures.GREY, "JPEG", progressive=progressive, **exif)
    half = (jpeg.index(b"\xff\xda") + len(jpeg)) // 2
    for damaged in (jpeg[:half] + b"\xff\xd9", jpeg[:half] + bytes(400) + jpeg[half + 400 :]):
        with pytest.raises(InvalidImage) as caught:
            images.decode(damaged)
        assert caught.value.slug == "image-corrupt"


@pytest.mark.parametrize(
    "exif",
    [
        b"", b"I", b"II*\0", b"JUNKJUNKJU", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x01\0\x06\0\0", b"II*\0\0\0\0\0" * 200,
    ],
)  # fmt: skip
def test_exif_that_makes_no_sense_changes_nothing(exif):
    jpeg, png = (pictures.encode(pictures.GREY.crop((0, 0, 120, 80)), kind) for kind in ("JPEG", "PNG"))
    segment = b"\xff\xe1" + (len(exif) + 8).to_bytes(2, "big") + b"Exif\0\0" + exif
    assert np.array_equal(images.decode(jpeg[:2] + segment + jpeg[2:]), images.decode(jpeg))
    assert np.array_equal(images.decode(png[:33] + pictures.chunk(b"eXIf", exif) + png[33:]), images.decode(png))


def test_what_a_file_claims_is_known_at_a_look():
    for name, data in SOUND.items():
        assert images.claimed(data) == images.probe(data).pixels, name
    assert images.claimed(HOSTILE["png bomb"][0]) == 60_000**2
    assert images.claimed(HOSTILE["text"][0]) == images.claimed(b"") == 0


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"]))
def test_a_look_at_noise_is_harmless(noise, magic):
    assert images.claimed(magic + noise) >= 0


def test_texts_in_a_png_are_not_inflated():
    text = pictures.chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_500_000)))
    plain = SOUND["png palette"]
    assert np.array_equal(images.decode(plain[:33] + text * 40 + plain[33:]), images.decode(plain))


@pytest.mark.parametrize("filler", [b"\xff\xfe\0\2", b"\xff"])
def test_a_jpeg_of_nothing_but_segments_is_refused(filler):
    plain = SOUND["jpeg grey"]
    assert images.decode(plain[:2] + filler * 20 + plain[2:]).shape == (224, 224)
    with pytest.raises(InvalidImage) as caught:
        images.decode(plain[:2] + filler * images.MAX_SEGMENTS + plain[2:])
    assert caught.value.slug == "image-corrupt"


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"II*\0", "TIFF"), (b"MM\0+", "TIFF"), (b"\0\0\0\x18ftypheic", "HEIF"), (b"\0\0\0\x18ftyphevc", "HEIF"),
     (b"\0\0\0\x18ftypmsf1", "HEIF"), (b"\0\0\0\x18ftypmp42", "an ISO media file"), (b"RIFF\0\0\0\0WEBP", "WebP")],
)  # fmt: skip
def test_a_format_that_is_not_taken_is_called_by_its_name(start, name):
    with pytest.raises(InvalidImage, match=f"^{name}") as caught:
        images.decode(start + bytes(100))
    assert caught.value.slug == "image-unsupported"


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
