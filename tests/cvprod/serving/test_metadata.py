"""Before a picture is stored, what a camera wrote beside it goes, and no pixel changes."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from cvprod.serving import images, jobs
from cvprod.traffic import hostile

SOUND = hostile.sound()


def _tagged(kind, orientation=1):
    tag = Image.Exif()
    tag[0x010F], tag[0x0132], tag[0x0112] = "Visitor's phone", "2026:11:29 09:14:00", orientation
    tag.get_ifd(0x8825).update({1: "N", 2: (51.0, 28.0, 0.0)})
    more = {"comment": b"Visitor's note"} if kind == "JPEG" else {}
    return hostile.encode(hostile.GREY.crop((0, 0, 200, 120)), kind, exif=tag, icc_profile=b"Visitor" * 20, **more)


@pytest.mark.parametrize("name", SOUND)
def test_no_pixel_changes(name):
    bare = images.without_metadata(SOUND[name])
    assert np.array_equal(images.decode(bare), images.decode(SOUND[name]))
    assert images.without_metadata(bare) == bare, "a second time nothing is left to do"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_the_camera_wrote_goes_and_the_orientation_stays(kind, orientation):
    photo = _tagged(kind, orientation)
    bare = images.without_metadata(photo)
    assert b"Visitor" in photo and b"2026:11:29" in photo
    assert b"Visitor" not in bare and b"2026" not in bare
    assert np.array_equal(images.decode(bare), images.decode(photo))
    with Image.open(io.BytesIO(bare)) as picture:
        left = dict(picture.getexif())
    assert left == ({0x0112: orientation} if orientation > 1 else {})


@pytest.mark.parametrize("name", hostile.hostile())
def test_a_hostile_file_stays_what_it_is(name):
    data, slug = hostile.hostile()[name]
    bare = images.without_metadata(data)
    with pytest.raises(images.InvalidImage) as refused:
        images.decode(bare)
    assert refused.value.slug == slug


def test_the_store_of_jobs_holds_none(tmp_path):
    store = jobs.Store(tmp_path)
    photo = _tagged("JPEG", 6)
    job, _ = store.create([photo, SOUND["bmp grey"]], "camera", None)
    stored = (tmp_path / job / "00000").read_bytes()
    assert b"Visitor" not in stored and np.array_equal(images.decode(stored), images.decode(photo))
    assert (tmp_path / job / "00001").read_bytes() == SOUND["bmp grey"]
    assert json.loads((tmp_path / job / "job.json").read_text())["images"] == 2
