"""The reader's own images: everything that a real folder may hold."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cvprod.surface import CLASSES, ImageError, load_folder, make_tile, read_image, tiles, to_input


@pytest.fixture
def root(tmp_path):
    """Two class folders of three images each."""
    for name in ("crazing", "scratches"):
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.fromarray(make_tile(name, k).image).save(tmp_path / name / f"{k}.png")
    return tmp_path


def test_images_and_labels(root):
    s = load_folder(root)
    assert s.images.shape == (6, 1, 96, 96)
    assert s.counts()["crazing"] == s.counts()["scratches"] == 3
    for image, label, file in zip(s.images, s.labels, s.files, strict=True):
        assert file.parent.name == CLASSES[label]
        assert (image[0] == to_input(make_tile(int(label), int(file.stem)).image)).all()
    assert load_folder(root, size=224).images.shape == (6, 1, 224, 224)
    assert len(load_folder(str(root), limit=4)) == 4


@pytest.mark.parametrize("name", ["rolled-in_scale", "Rolled-In-Scale", "ROLLED_IN_SCALE", "rolled in scale"])
def test_folder_names(root, name):
    (root / "crazing").rename(root / name)
    assert load_folder(root).counts()["rolled_in_scale"] == 3


def test_hidden_files_and_side_files_are_passed_over(root):
    for side in ("boxes.csv", "README.md", ".DS_Store", "crazing/.DS_Store", "scratches/._0.png"):
        (root / side).write_bytes(b"\x00\x01")
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    (root / "inclusion").mkdir()  # empty is fine as long as others are not
    assert len(load_folder(root)) == 6


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, b"GIF89a", b"\xff\xd8\xff\xe0"]
)
def test_a_file_that_is_no_image_is_named(root, content):
    (root / "crazing" / "bad one.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"bad one\.png is not a readable image"):
        load_folder(root)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_a_truncated_image_is_named(root, suffix):
    file = root / "crazing" / f"cut.{suffix}"
    Image.fromarray(make_tile("crazing", 9).image).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"cut\.{suffix} is not a readable image"):
        load_folder(root)


def test_a_folder_inside_a_class_folder_is_named(root):
    (root / "crazing" / "more").mkdir()
    with pytest.raises(ImageError, match="more"):
        load_folder(root)


def test_an_unknown_class_is_named_and_the_known_ones_listed(root):
    (root / "rust").mkdir()
    with pytest.raises(ValueError, match="unknown class folder rust") as error:
        load_folder(root)
    assert all(name in str(error.value) for name in CLASSES)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_folder(tmp_path / "no")
    with pytest.raises(ValueError, match="has no class folders; known classes: clean"):
        load_folder(tmp_path)
    (tmp_path / "clean").mkdir()
    with pytest.raises(ValueError, match="no image in them"):
        load_folder(tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match="not a folder"):
        load_folder(file)


def test_colour_palette_depth_and_orientation(tmp_path):
    grey = make_tile("patches", 4).image[:, :150]
    expected = grey.astype(int)

    def read(image, name, **options):
        image.save(tmp_path / name, **options)
        out = read_image(tmp_path / name)
        assert out.dtype == np.uint8
        return out.astype(int)

    pil = Image.fromarray(grey)
    assert (read(pil, "grey.png") == expected).all()
    assert (read(pil.convert("RGB"), "rgb.png") == expected).all()
    assert (read(pil.convert("RGBA"), "rgba.png") == expected).all()
    assert (read(pil.convert("LA"), "la.png") == expected).all()
    assert (read(pil.convert("P"), "palette.png") == expected).all()
    assert (read(pil.convert("CMYK"), "cmyk.tif") - expected).max() <= 1
    assert (read(Image.fromarray(grey.astype(np.uint16) * 257), "16.png") == expected).all()
    assert (read(Image.fromarray(grey.astype(np.uint16) * 257), "16.tif") == expected).all()
    assert (read(Image.fromarray(grey.astype(np.float32)), "float.tif") == expected).all()
    assert set(np.unique(read(pil.convert("1"), "one.png"))) <= {0, 255}
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright: turn a quarter clockwise to see it right
    assert (read(pil, "exif.png", exif=turned) == np.rot90(expected, -1)).all()
    assert np.abs(read(pil, "lossy.jpg", quality=95) - expected).mean() < 3


def test_any_size_is_brought_to_the_input(root):
    Image.fromarray(np.full((3, 500), 90, np.uint8)).save(root / "crazing" / "strip.png")
    Image.fromarray(np.full((1, 1), 90, np.uint8)).save(root / "crazing" / "dot.png")
    s = load_folder(root)
    for image, file in zip(s.images, s.files, strict=True):
        if file.stem in ("strip", "dot"):
            assert (image == 90).all()


def many(root, n):
    image = Image.fromarray(make_tile("clean", 0, size=32).image)
    for name in ("clean", "patches"):
        (root / name).mkdir(parents=True)
        for k in range(n):
            image.save(root / name / f"{k}.png")
    return root


def names(s):
    return {f"{f.parent.name.lower().replace('-', '_')}/{f.name}" for f in s.files}


def test_splits_are_a_partition_in_about_the_right_shares(tmp_path):
    root = many(tmp_path / "d", 200)
    parts = {split: names(load_folder(root, split=split)) for split in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 400
    assert 240 <= len(parts["train"]) <= 320
    assert 30 <= len(parts["val"]) <= 95
    assert 30 <= len(parts["test"]) <= 95


def test_a_file_stays_in_its_split_whatever_else_comes_or_goes(tmp_path):
    root = many(tmp_path / "d", 40)
    before = names(load_folder(root, split="test"))
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    (moved / "patches").rename(moved / "Patches")
    shutil.copy(root / "clean" / "0.png", moved / "clean" / "zz.png")
    gone = sorted(before)[0]
    for f in moved.rglob("*.png"):
        if names_of(f) == gone:
            f.unlink()
    assert names(load_folder(moved, split="test")) - {"clean/zz.png"} == before - {gone}
    code = (
        "import sys; from cvprod.surface import load_folder\n"
        "print(*sorted(f'{f.parent.name}/{f.name}' for f in load_folder(sys.argv[1], split='test').files), sep='\\n')"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": "7"}, timeout=60,
    )  # fmt: skip
    assert set(out.stdout.split()) == before


def names_of(file):
    return f"{file.parent.name.lower()}/{file.name}"


def test_a_limit_takes_the_same_first_ones_and_mixes_the_classes(tmp_path):
    root = many(tmp_path / "d", 60)
    few, more = load_folder(root, limit=20), load_folder(root, limit=60)
    assert few.files == more.files[:20]
    assert 3 <= few.counts()["clean"] <= 17


def test_tiles_reads_the_folder_in_cvprod_data(root, monkeypatch, tmp_path):
    root = many(tmp_path / "d", 30)
    monkeypatch.setenv("CVPROD_DATA", str(root))
    s = tiles("train", 10_000)
    assert 25 <= len(s) < 60
    assert all(str(f).startswith(str(root)) for f in s.files)
    assert len(tiles("train", 5)) == 5
    assert len(tiles("train")) == len(s)
    monkeypatch.setenv("CVPROD_DATA", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError, match="CVPROD_DATA"):
        tiles("test", 5)


def test_an_empty_split_says_so(tmp_path):
    (tmp_path / "clean").mkdir()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "clean" / "a.png")
    empty = 0
    for split in ("train", "val", "test"):
        try:
            load_folder(tmp_path, split=split)
        except ValueError as error:
            assert f"the {split} split" in str(error)
            empty += 1
    assert empty == 2
