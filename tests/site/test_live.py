"""The model in the page: the same preprocessing to the byte, the same logits, from a server and from a file."""

import base64
import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cvprod.repo import ROOT
from cvprod.serving import images
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.surface import CLASSES, make_tile

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A page with the model</title>
<link rel="icon" href="_static/favicon.svg">
<link rel="stylesheet" href="_static/custom.css"><div class="cv-live"></div>
<script src="_static/live/live.js"></script></html>"""
#: Width and height: a tile, a camera's, an exact half, odd ones, flat ones, and smaller than the network's input.
SIZES = [(96, 96), (224, 224), (200, 200), (192, 192), (151, 301), (97, 211), (400, 96), (288, 480), (1000, 300),
         (60, 80), (32, 32), (400, 50), (95, 97)]  # fmt: skip


def picture(width, height, *, colour):
    rng = np.random.default_rng(width * 1000 + height)
    ramp = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None] % 256
    noise = rng.integers(0, 256, (height, width, 3 if colour else 1))
    return np.where(rng.random((height, width, 1)) < 0.5, ramp, noise).astype(np.uint8)


def encoded(pixels, form, **options):
    file = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(file, form, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the panel's page and all that it loads."""
    from cvprod_site import live

    folder = tmp_path_factory.mktemp("live")
    shutil.copytree(ROOT / "book/_static", folder / "_static")
    live.write(SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=folder), None)
    (folder / "index.html").write_text(PAGE)
    return folder


@pytest.fixture(scope="module")
def loaded(browser, place):
    """The panel after its button was pressed, on a page from a server."""
    from chromium import Site

    with Site(place) as server:
        browser.open(server.address + "index.html")
        first = browser.requests()
        browser.run("document.querySelector('.cv-live-start').click()")
        wait(browser)
        yield SimpleNamespace(browser=browser, before=first, after=browser.requests(), address=server.address)


def wait(browser):
    ready = browser.run(
        """new Promise((done, fail) => { const look = n => {
          const panel = document.querySelector('.cv-live'), said = panel.querySelector('[role=status]').textContent;
          if (panel.dataset.ready) done(+panel.dataset.ready);
          else if (n === 0 || said.includes('does not run')) fail(new Error(said));
          else setTimeout(look, 100, n - 1); }; look(600); })"""
    )
    assert ready > 0


def judged(browser, data, kind):
    """What the page makes of a file: its tile (bytes) and logits."""
    found = browser.run(
        f"""(async () => {{
          const file = await (await fetch("data:{kind};base64,{base64.b64encode(data).decode()}")).blob();
          const seen = await cvprodInspector.decode(file);
          const tile = cvprodInspector.toInput(seen.grey, seen.width, seen.height);
          return JSON.stringify([Array.from(tile), Array.from(await cvprodLive.inspector.logits(tile))]); }})()"""
    )
    tile, logits = json.loads(found)
    return np.array(tile, np.uint8).reshape(96, 96), np.array(logits)


def test_nothing_is_loaded_before_the_reader_asks_and_nothing_from_elsewhere(loaded):
    assert not [url for url in loaded.before if "runtime" in url or "model" in url]
    assert all(url.startswith(loaded.address) for url in loaded.after if not url.startswith(("blob:", "data:")))
    assert not loaded.browser.complaints()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_a_png_becomes_the_same_tile_as_in_python(loaded, size, colour):
    data = encoded(picture(*size, colour=colour), "PNG")
    tile, logits = judged(loaded.browser, data, "image/png")
    expected = images.to_tile(data)
    assert (tile == expected).all(), f"{(tile != expected).sum()} pixels differ"
    assert np.abs(logits - Model.load(DEFAULT_MODEL).run(expected[None, None])[0]).max() < 1e-5


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_grey_jpeg_is_the_same_tile_and_upright(loaded, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(224, 160, colour=False), "JPEG", quality=90, exif=exif)
    assert (judged(loaded.browser, data, "image/jpeg")[0] == images.to_tile(data)).all()


def test_a_colour_jpeg_differs_by_no_more_than_rounding(loaded):
    """The service reads the file's own luma; a browser gives red, green and blue, from which it is computed again."""
    data = encoded(picture(224, 224, colour=True) // 2 + 64, "JPEG", quality=95)
    tile = judged(loaded.browser, data, "image/jpeg")[0].astype(int)
    assert np.abs(tile - images.to_tile(data)).max() <= 1


def test_dials_move_the_answer_and_the_panel_tells_it(loaded):
    browser = loaded.browser
    before = browser.run("JSON.stringify(cvprodLive.last().probabilities)")
    dial = "document.querySelector('[aria-label=Blur]')"
    browser.run(f"{dial}.value = 6; {dial}.dispatchEvent(new Event('input'))")
    changed = "JSON.stringify(cvprodLive.last().probabilities) !== " + json.dumps(before)
    look = f"const again = n => {changed} ? done(true) : n ? setTimeout(again, 100, n - 1) : done(false); again(100);"
    assert browser.run(f"new Promise(done => {{ {look} }})")
    assert browser.run("document.querySelectorAll('.cv-live-bar').length") == len(CLASSES)
    assert "%" in browser.run("document.querySelector('.cv-live-verdict').textContent")


def test_it_works_from_a_file_too(browser, place):
    browser.open((place / "index.html").as_uri())
    browser.run("document.querySelector('.cv-live-start').click()")
    wait(browser)
    assert browser.run("cvprodLive.last().label") in CLASSES
    assert browser.run("cvprodLive.inspector.selfTest") < 1


def test_the_heat_finds_a_small_defect(place):
    from cvprod_site import live

    found = live.hit_rate(24)
    assert found["hits"] > 2 * found["chance"]
    model = Model.load(DEFAULT_MODEL)
    heat = live.occlusion(model.run, images.to_input(make_tile("scratches", 3).image))
    assert heat.shape == (96, 96) and (heat >= 0).all() and heat.max() > 0
