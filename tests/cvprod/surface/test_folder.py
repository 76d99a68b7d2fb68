"""The reader's own images: everything that a real folder may hold."""

import os
import shutil
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from cvprod.surface import CLASSES, ImageError, load_folder, make_tile, read_colour, read_image, tiles, to_input


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


def saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_16_bits_keep_one_scale_however_dark_the_picture(tmp_path):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16)[None]
    for name in ("16.png", "16.tif", "16.pgm"):
        for picture in (ramp, ramp // 16, ramp // 256):
            assert (read_image(saved(tmp_path / name, picture)) == picture >> 8).all(), name
    twelve = np.arange(0, 4096, 16, dtype=np.uint16)[None]
    assert (read_image(saved(tmp_path / "as_documented.png", twelve * 16)) == np.arange(256)).all()
    # a PGM that says that it has 12 bits has its full scale
    (tmp_path / "12.pgm").write_bytes(b"P5 256 1 4095\n" + twelve.astype(">u2").tobytes())
    assert (np.abs(read_image(tmp_path / "12.pgm").astype(int) - np.arange(256)) <= 1).all()


def test_32_bit_integers_are_grey_levels_or_16_bits(tmp_path):
    file, grey = tmp_path / "x.tif", np.arange(256, dtype=np.int32)[None]
    assert (read_image(saved(file, grey)) == grey).all()
    assert (read_image(saved(file, grey[:, :251])) == grey[:, :251]).all()
    assert (read_image(saved(file, grey * 257)) == grey).all()
    for wrong in (grey - 1, grey * 258, grey * 2**20):
        with pytest.raises(ImageError, match=r"x\.tif holds values from .* 0 to 65535 can be read"):
            read_image(saved(file, wrong))


def test_floats_are_0_to_1_or_grey_levels(tmp_path):
    file, grey = tmp_path / "x.tif", np.arange(256, dtype=np.float32)[None]
    assert (read_image(saved(file, grey / 255)) == grey).all()
    assert (read_image(saved(file, grey)) == grey).all()
    for wrong in (grey - 1, grey * 2, grey / 255 - 0.1):
        with pytest.raises(ImageError, match=r"x\.tif holds values from .* 0 to 1 or 0 to 255 can be read"):
            read_image(saved(file, wrong))
    for odd in (np.nan, np.inf, -np.inf):
        with warnings.catch_warnings(), pytest.raises(ImageError, match=r"x\.tif holds values that are not finite"):
            warnings.simplefilter("error")
            read_image(saved(file, np.where(grey == 7, np.float32(odd), grey)))


def test_a_folder_that_is_nearly_black_is_pointed_out(tmp_path):
    (tmp_path / "clean").mkdir()
    twelve = make_tile("clean", 1).image.astype(np.uint16) * 16
    saved(tmp_path / "clean" / "a.png", twelve)
    with pytest.warns(UserWarning, match=r"all 1 images .* 12 bits stored in 16"):
        load_folder(tmp_path)
    saved(tmp_path / "clean" / "b.png", twelve * 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_folder(tmp_path)


def test_lab_colours_are_called_by_their_name(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=r"x\.tif is in LAB colours.*save it as grey or RGB"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("error", [NotImplementedError("dxt"), EOFError(), MemoryError(), IndexError("3"), KeyError(7)])
def test_whatever_a_decoder_raises_the_file_is_named(root, monkeypatch, error):
    def broken(self):
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", broken)
    with pytest.raises(ImageError, match=r"\.png is not a readable image \(.+\)") as caught:
        load_folder(root)
    assert caught.value.__cause__ is error


def test_damaged_textures_under_another_suffix_are_named(root):
    wrong = root / "crazing" / "wrong.png"
    for start in (
        b"BLP1" + b"\x09\0\0\0" * 50,
        b"BLP2" + b"\x09\0\0\0" * 50,
        b"DDS " + (124).to_bytes(4, "little") + b"\x01" * 120,
    ):
        wrong.write_bytes(start)
        with pytest.raises(ImageError, match=r"wrong\.png is not a readable image"):
            load_folder(root)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_named_and_not_waited_for(root):
    os.mkfifo(root / "crazing" / "pipe.png")
    found = []

    def read():
        with pytest.raises(ImageError, match=r"pipe\.png is not an image file"):
            load_folder(root)
        found.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no UTF-8")
def test_a_file_name_need_not_be_utf8_and_splits_stay_where_they_were(root):
    import hashlib

    from cvprod.surface.folder import _position

    shutil.copy(root / "crazing" / "0.png", os.fsencode(root / "crazing") + b"/bl\xe4tter.png")
    assert load_folder(root).counts()["crazing"] == 4
    for name in ("0.png", "blätter.png"):
        digest = hashlib.sha256(f"crazing/{name}".encode()).digest()
        assert _position(1, root / "crazing" / name) == int.from_bytes(digest[:8], "big") / 2**64


def test_an_unknown_home_is_a_folder_that_does_not_exist(monkeypatch):
    with pytest.raises(FileNotFoundError, match="~nobody_such/x does not exist"):
        load_folder("~nobody_such/x")
    monkeypatch.setenv("CVPROD_DATA", "~nobody_such/x")
    with pytest.raises(FileNotFoundError, match="nobody_such"):
        tiles("test", 5)


@pytest.mark.parametrize("n", [0, -1, -3, 1.5, True, "7"])
def test_a_number_of_images_that_is_none_is_refused(root, monkeypatch, n):
    with pytest.raises(ValueError, match="limit must be a whole number of at least 1"):
        load_folder(root, limit=n)
    for folder in (str(root), ""):
        monkeypatch.setenv("CVPROD_DATA", folder)
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            tiles("train", n)


@pytest.mark.parametrize("size", [100_000, -1, 0, 95, None])
def test_a_size_that_is_none_is_refused_before_anything_is_read(root, monkeypatch, size):
    with pytest.raises(ValueError, match="size must be 96 or 224"):
        load_folder(root, size=size)
    monkeypatch.setenv("CVPROD_DATA", str(root))
    with pytest.raises(ValueError, match="size must be 96 or 224"):
        tiles("train", 3, size=size)


def test_a_small_real_folder_gives_what_it_has(tmp_path, monkeypatch):
    image = Image.fromarray(make_tile("patches", 0, size=32).image)
    for name in ("crazing", "inclusion", "patches", "pitted_surface", "scratches"):
        (tmp_path / name).mkdir()
        for k in range(12):
            image.save(tmp_path / name / f"{name}_{k}.jpg")
    monkeypatch.setenv("CVPROD_DATA", str(tmp_path))
    parts = {split: tiles(split, 1000) for split in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == 60 and len(parts["train"]) > len(parts["test"]) > 0
    assert all(part.counts()["clean"] == part.counts()["rolled_in_scale"] == 0 for part in parts.values())
    assert tiles("test", 2).files == parts["test"].files[:2]


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
    Image.fromarray(np.full((9, 9), 90, np.uint8)).save(tmp_path / "clean" / "a.png")
    empty = 0
    for split in ("train", "val", "test"):
        try:
            load_folder(tmp_path, split=split)
        except ValueError as error:
            assert f"the {split} split" in str(error)
            empty += 1
    assert empty == 2


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_tiff_is_read_by_its_own_word_on_bits_and_white(bits):
    from cvprod.surface import folder

    grey = np.arange(256, dtype=np.int64).reshape(16, 16)
    values = grey << (bits - 8)
    assert (folder._tiff(values, {258: (bits,)}) == grey).all()
    assert (folder._tiff((1 << bits) - 1 - values, {258: (bits,), 262: 0}) == grey).all()


def test_a_tiff_with_several_pages_says_so(tmp_path):
    pages = [Image.fromarray(np.full((96, 96), level, np.uint8)) for level in (10, 20)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match="holds 2 pictures"):
        read_image(tmp_path / "a.tif")


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    (tmp_path / "clean").mkdir()
    Image.fromarray(np.full((96, 96), 90, np.uint8)).save(tmp_path / "clean/a.png")
    for name in ("Thumbs.db", "desktop.ini", "._a.png"):
        (tmp_path / "clean" / name).write_bytes(b"x")
    for name in ("lost+found", "$RECYCLE.BIN", "@eaDir", "System Volume Information"):
        (tmp_path / name).mkdir()
    assert len(load_folder(tmp_path).labels) == 1
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="unknown class folder notes"):
        load_folder(tmp_path)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_a_file_of_several_pictures_is_refused_whatever_its_format(tmp_path, suffix):
    several = [Image.fromarray(np.full((20, 20), 60 * i, np.uint8)) for i in range(3)]
    several[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=several[1:])
    with pytest.raises(ImageError, match="holds 3 pictures"):
        read_image(tmp_path / f"a.{suffix}")


def test_colour_is_read_by_the_same_rules(tmp_path):
    red = np.full((8, 6, 3), (200, 10, 20), np.uint8)
    Image.fromarray(red).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(red).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    for name in ("cmyk.tif", "palette.png"):
        assert np.abs(read_colour(tmp_path / name).astype(int) - red).max() <= 1
    for values, name in [(np.full((8, 6), 0x5000, np.uint16), "16.png"), (np.full((8, 6), 0.5, np.float32), "f.tif")]:
        Image.fromarray(values).save(tmp_path / name)
        assert np.array_equal(read_colour(tmp_path / name), np.dstack([read_image(tmp_path / name)] * 3))
