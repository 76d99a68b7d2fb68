"""Figures and tables: readable in both modes, named for those who cannot see them, safe to put on one page."""

import base64
import io
import itertools
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from cvprod.display import plots

ALT = "Two lines that cross each other near the middle."
LIGHT, DARK = "#ffffff", "#14181e"
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def _linear(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _contrast(a, b):
    low, high = sorted(float(_linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


def _lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear.clip(0, 1)
    f = np.where((t := xyz / [0.9505, 1, 1.089]) > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture
def figure():
    plots.use_style()
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], label="up")
    ax.plot([0, 1], [1, 0], label="down")
    ax.set(xlabel="time in s", ylabel="latency in ms", title="A & B <c>")
    ax.legend()
    yield fig
    plt.close(fig)


def _svg(markup):
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", markup, re.S)[0])


@pytest.mark.parametrize("colour", [*plots.PALETTE, plots.GREY])
@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_palette_is_seen_on_both_grounds(colour, ground):
    assert _contrast(colour, ground) >= 3


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_first_five_colours_stay_apart_for_the_colour_blind(deficiency):
    seen = [_lab(np.array(DEFICIENCIES[deficiency]) @ _linear(colour)) for colour in plots.PALETTE[:5]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 12


def test_colour_is_never_alone():
    plots.use_style()
    cycle = plt.rcParams["axes.prop_cycle"].by_key()
    assert len({str(style) for style in cycle["linestyle"]}) == len(cycle["color"])


@pytest.mark.parametrize("alt", ["", "latency", "Latency over batch size", None, 3, "One two three four"])
def test_alt_text_must_be_a_sentence(figure, alt):
    with pytest.raises(plots.AltTextError, match="sentence"):
        plots.figure_html(figure, alt)
    with pytest.raises(plots.AltTextError):
        plots.show(figure, alt)


def test_figure_is_one_named_svg_in_the_ink_of_the_page(figure):
    markup = plots.figure_html(figure, 'Lines that cross, "so to say", & <more>.')
    svg = _svg(markup)
    assert svg.get("role") == "img" and svg.get("aria-label") == 'Lines that cross, "so to say", & <more>.'
    assert plots.INK not in markup and "currentColor" in markup and "#000000" not in markup
    texts = {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"time in s", "latency in ms", "A & B <c>", "up", "down"} <= texts
    assert "max-width:100%" in svg.get("style") and "height:auto" in svg.get("style")
    assert "<style" not in markup and "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", markup)


def test_every_axis_text_follows_the_page(figure):
    svg = _svg(plots.figure_html(figure, ALT))
    fills = [text.get("style", "") for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert len(fills) > 8 and all("fill: currentColor" in fill for fill in fills)


def test_a_label_keeps_its_digits_and_a_coordinate_loses_them():
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot([0, 1 / 3], [0, 1 / 7])
    axes.text(0.1, 0.1, "from 0.075 to 0.12345")
    drawn = plots.figure_html(figure, ALT)
    plt.close(figure)
    assert "from 0.075 to 0.12345" in drawn
    assert not re.search(r' (?:points|d|x|y)="[^"]*\d\.\d{3}', drawn)


def test_same_figure_twice_shares_no_id(figure):
    ids = [set(re.findall(r' id="([^"]+)"', plots.figure_html(figure, ALT))) for _ in range(2)]
    assert ids[0] and not ids[0] & ids[1]


def test_every_reference_inside_the_figure_resolves(figure):
    figure.axes[0].scatter([0.2, 0.4], [0.1, 0.9])
    markup = plots.figure_html(figure, ALT)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup)) == set(re.findall(r' id="([^"]+)"', markup))


def test_show_displays_and_closes(figure, monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", shown.append)
    plots.show(figure, ALT)
    assert len(shown) == 1 and "<svg" in shown[0].data
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize(("inches", "scrolls"), [(6.2, False), (11, True)])
def test_wide_figures_scroll_rather_than_shrink_to_nothing(inches, scrolls):
    plots.use_style()
    fig, _ = plt.subplots(figsize=(inches, 3))
    frame = BeautifulSoup(plots.figure_html(fig, ALT), "html.parser").div
    plt.close(fig)
    assert (frame.get("tabindex") == "0") is scrolls
    assert ("min-width:0px" in frame.svg["style"]) is not scrolls


@pytest.mark.parametrize(("size", "log", "scrolls"), [(10.5, False, False), (10.5, True, False), (6.5, False, True)])
def test_figures_with_small_text_scroll_too_unless_it_is_an_exponent(size, log, scrolls):
    plots.use_style()
    fig, axis = plt.subplots(figsize=(6.2, 3))
    axis.set_title("small", fontsize=size)
    if log:
        axis.set_yscale("log")
        axis.set_ylim(1e-4, 1e4)
    frame = BeautifulSoup(plots.figure_html(fig, ALT), "html.parser").div
    plt.close(fig)
    assert (frame.get("tabindex") == "0") is scrolls
    assert ("min-width:0px" in frame.svg["style"]) is not scrolls


def test_mosaic_embeds_its_images_and_labels():
    images = [np.full((8, 8), value, np.uint8) for value in (0, 128, 255)]
    fig = plots.mosaic(images, ["a", "b", "c"], columns=2)
    markup = plots.figure_html(fig, "Three flat grey squares, from black to white.")
    plt.close(fig)
    assert markup.count("data:image/png;base64,") == 3
    assert [axis.get_title(loc="center") for axis in fig.axes][:3] == ["a", "b", "c"]


def test_a_photograph_is_embedded_no_larger_than_it_is_shown():
    steel = np.random.default_rng(0).integers(0, 256, (224, 224), np.uint8)
    figure = plots.mosaic([steel] * 4)
    drawn = plots.figure_html(figure, ALT)
    plt.close(figure)
    pictures = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', drawn)]
    assert [max(Image.open(io.BytesIO(picture)).size) <= 224 for picture in pictures] == [True] * 4


def test_mosaic_never_stretches_grey_values():
    fig = plots.mosaic([np.full((4, 4), 100, np.uint8)])
    assert fig.axes[0].images[0].get_clim() == (0, 255)
    plt.close(fig)


def test_mosaic_says_what_is_wrong():
    with pytest.raises(ValueError, match="at least one"):
        plots.mosaic([])
    with pytest.raises(ValueError, match="2 images, 1 labels"):
        plots.mosaic([np.zeros((2, 2))] * 2, ["a"])


FRAME = pd.DataFrame(
    {"p50, ms": [20.1234, 0.4], "n": [2000, 3], "size": [44_812_345.0, None], "ok": [True, False], "t": ["<b>", "x"]},
    index=pd.Index(["base", "int8"], name="name"),
)


def _table(**kwargs):
    return BeautifulSoup(plots.table_html(FRAME, "What we measured.", **kwargs), "html.parser")


def test_table_formats_numbers_and_escapes_text():
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in _table().find_all("tr")]
    assert rows[1] == ["base", "20.1", "2,000", "44,800,000", "yes", "<b>"]
    assert rows[2] == ["int8", "0.4", "3", "–", "no", "x"]


def test_table_is_accessible_and_scrolls():
    tree = _table()
    assert tree.caption.get_text() == "What we measured."
    assert {th["scope"] for th in tree.thead.find_all("th")} == {"col"}
    assert [th["scope"] for th in tree.tbody.find_all("th")] == ["row", "row"]
    assert tree.div["tabindex"] == "0" and "overflow-x:auto" in tree.div["style"] and tree.div["aria-label"]


def test_table_takes_formats_and_emphasis():
    tree = _table(formats={"p50, ms": "{:.3f}"}, emphasise=["int8"])
    assert "20.123" in tree.get_text()
    bold = [row for row in tree.tbody.find_all("tr") if "bold" in row.td["style"]]
    assert [row.th.get_text() for row in bold] == ["int8"]


def test_headings_and_sentences_in_a_table_are_broken_into_lines_and_nothing_else_is():
    frame = pd.DataFrame({"short": ["a name"], "long": ["Wait as long as Retry-After says, then send it again."]})
    soup = BeautifulSoup(plots.table_html(frame, "What to do."), "html.parser")
    short, long = (re.findall(r"white-space:(\w+)", cell["style"])[-1] for cell in soup.find_all("td"))
    assert (short, long) == ("nowrap", "normal")
    assert all("white-space:normal" in cell["style"] for cell in soup.find_all("th"))
    frame.index = ["A device with a long name, in one of its modes"]
    soup = BeautifulSoup(plots.table_html(frame, "What to do."), "html.parser")
    assert "white-space:normal" in soup.find("th", scope="row")["style"]


def test_table_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="caption"):
        plots.table_html(FRAME, " ")
    with pytest.raises(ValueError, match="p99"):
        _table(formats={"p99": "{:.3f}"})


def test_plain_index_is_not_shown():
    markup = plots.table_html(pd.DataFrame({"a": [1, 2]}), "Only one column.")
    assert 'scope="row"' not in markup


@pytest.mark.parametrize("draw", [lambda ax, x: ax.plot(x, x, "o"), lambda ax, x: ax.scatter(x, x)])
def test_dense_clouds_become_pictures_and_others_stay_drawings(draw):
    for points, pictures in ((50, 0), (3000, 1)):
        fig, ax = plt.subplots()
        draw(ax, np.arange(points))
        ax.plot([0, points], [0, points])  # a line stays one, however dense the cloud beside it
        made = plots.figure_html(fig, "A cloud of points along the diagonal of the plot.")
        plt.close(fig)
        assert made.count("<image ") == pictures
        assert made.count("<use ") < 150 and len(made) < 60_000


def test_code_in_a_cell_is_code_and_nothing_else_is_markup():
    made = plots.table_html(pd.DataFrame({"says": ["run `make <x>` & wait", "a ` alone"]}), "What it says")
    assert "run <code>make &lt;x&gt;</code> &amp; wait" in made and "a ` alone" in made
