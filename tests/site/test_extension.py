"""The book's Sphinx extension, piece by piece."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from PIL import Image

from cvprod import ledger
from cvprod.book.notebooks import HARDWARE_TAGS
from cvprod.repo import ROOT, repository
from cvprod.surface import make_set

cvprod_site = pytest.importorskip("cvprod_site")
from cvprod_site import (  # noqa: E402
    assets,
    discovery,
    exercise_index,
    hardware_cells,
    landing,
    mathml,
    numbers,
    pages,
    photographs,
    solutions,
    unused,
)

FRAME = (
    "<html><head>{head}</head><body><div><button title='Toggle'><i class='fa-solid fa-bars'></i></button>"
    '<article class="bd-article">{body}</article></div></body></html>'
)
CONTEXT = {"pagename": "notebooks/01_x", "pathto": lambda name, resource=False: "../" + name}


def _finish(body="", head="", **context):
    return pages.finish(FRAME.format(head=head, body=body), {**CONTEXT, **context})


@pytest.mark.parametrize("how", ["added", "changed", "removed"])
def test_ledger_is_read_again_with_a_chapter(how):
    env = SimpleNamespace(found_docs={*cvprod_site.FOLLOWERS, "notebooks/01_x"})
    sets = {name: set() for name in ("added", "changed", "removed")}
    assert cvprod_site.ledger_follows_chapters(None, env, **sets) == []
    assert cvprod_site.ledger_follows_chapters(None, env, **{**sets, how: {"book/glossary"}}) == []
    followers = cvprod_site.ledger_follows_chapters(None, env, **{**sets, how: {"notebooks/01_x"}})
    assert followers == ["notebooks/ledger", "book/intro", "book/status", "book/glossary"]
    assert cvprod_site.ledger_follows_chapters(None, SimpleNamespace(found_docs={"notebooks/01_x"}), **sets) == []


def test_ledger_sorts_after_every_chapter():
    assert all(f"notebooks/{n:02}_zzz" < cvprod_site.FOLLOWERS[0] for n in range(1, 13))


@pytest.mark.parametrize("tag", sorted(HARDWARE_TAGS))
def test_every_hardware_tag_has_its_words(tag):
    text = hardware_cells.sentence({"tags": [tag, "skip-execution"]})
    assert "Not yet run on this hardware" in text and hardware_cells.NEEDS[tag] in text


def test_recorded_cell_names_machine_date_and_versions():
    recorded = {"machine": "NVIDIA X", "date": "2026-11-20", "versions": {"torch": "2.14.1"}}
    text = hardware_cells.sentence({"tags": ["gpu"], "recorded": recorded})
    assert all(part in text for part in ("Recorded on NVIDIA X", "2026-11-20", "torch 2.14.1"))
    assert "Not yet" not in text


def test_plain_cell_has_no_label():
    assert hardware_cells.sentence({"tags": ["hide-input"]}) is None


def test_unused_scripts_go_and_used_ones_stay():
    links = "".join(f'<script src="x/{name}.js"></script>' for name in ("design-tabs", "searchtools", "own"))
    plain = _finish("<p>text</p>", links)
    assert "design-tabs" not in plain and "searchtools" not in plain and "own.js" in plain
    assert "design-tabs" in _finish('<div class="sd-tab-set"></div>', links)
    assert "searchtools" in _finish("<p>text</p>", links, pagename="search")


def test_article_comes_through_as_it_was():
    body = '<p>a &amp; b</p><svg viewBox="0 0 1 1"><clipPath id="c"/></svg><pre tabindex="0">x &lt; y</pre>'
    assert body in _finish(body)


def test_colab_badge_is_local():
    page = _finish(f'<a href="https://colab.research.google.com/x"><img src="{pages.BADGE}"></a>')
    assert 'src="../_static/colab.svg"' in page and pages.BADGE not in page


def test_icon_button_gets_a_name():
    assert 'aria-label="Toggle"' in _finish()


def test_page_without_an_article_is_finished_too():
    page = pages.finish("<html><head><link href='sphinx-thebe.css'></head><body><p>x</p></body></html>", CONTEXT)
    assert "thebe" not in page and "<p>x</p>" in page


def test_fragments_are_left_alone():
    assert pages.finish("<p>x</p>", CONTEXT) == "<p>x</p>"


def test_only_rules_that_can_match_stay_in_the_sheet(tmp_path):
    (tmp_path / "page.html").write_text('<p class="lead fa-bars">modal is a word here</p>')
    (tmp_path / "a.js").write_text("element.classList.add('shown')")
    sheet = """
    .fa-bars:before,.fa-navicon:before{content:"\\f0c9"} .fa-bug:before{content:"\\f188"} p{color:red}
    .lead .modal{color:red} .shown>p:not(.modal){color:green}
    @media print{.modal{margin:0} .lead{margin:0}} @media print{.modal{margin:0}}
    @font-face{font-family:X;src:url(x.woff)} @keyframes turn{from{opacity:0}}
    """
    kept = unused.prune(sheet, unused.names(tmp_path))
    assert kept.split("\n") == [
        '.fa-bars:before{content:"\\f0c9 "}', "p{color:red}", ".shown>p:not(.modal){color:green}",
        "@media print{.lead{margin:0}}", "@font-face{font-family:X;src:url(x.woff)}",
        "@keyframes turn{from{opacity:0}}",
    ]  # fmt: skip


def test_a_page_waits_for_one_sheet_and_that_for_no_other(tmp_path):
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles/theme.css").write_text('@import "../basic.css";')
    for name in ("basic.css", "pygments.css", "custom.css"):
        (tmp_path / name).write_text(f"p{{background:url('{name}.png')}} /* {name} */")
    assets.bundle(tmp_path, set())
    text = (tmp_path / assets.BUNDLE).read_text()
    assert "import" not in text and "/*" not in text
    assert re.findall(r'url\("(.*?)"\)', text) == [f"../{n}.css.png" for n in ("basic", "pygments", "custom")]


def test_the_themes_script_asks_only_near_the_screen_what_scrolls():
    changed = assets.patient((assets.THEME / assets.SCRIPT).read_text())
    assert "near.map(e => e.scrollWidth>e.clientWidth||" in changed and "tabIndex=e." not in changed
    assert changed.count(".forEach(block=>{block.tabIndex=0;tabStops.observe(block)})") == 1
    assert assets.patient("let a = 1") == "let a = 1" and assets.patient(changed) == changed


def test_icon_font_holds_what_is_used_and_is_small(tmp_path):
    from fontTools.ttLib import TTFont

    rule = "@font-face{font-family:Font Awesome 6 Free;font-weight:900;src:url(x)}"
    made = assets._face(rule, {0xF0C9, 0xF002}, tmp_path)
    file = tmp_path / "fa-solid-900.woff"
    assert "fa-solid-900.woff" in made
    assert set(TTFont(file).getBestCmap()) == {0xF0C9, 0xF002}
    assert file.stat().st_size < 5_000


def test_photographs_get_smaller_and_everything_else_stays_exact():
    def embedded(pixels):
        out = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
        return f'<image xlink:href="data:image/png;base64,\n{base64.b64encode(out.getvalue()).decode()}"/>'

    tile = make_set(1, seed=5, size=224).images[0, 0]
    photograph = embedded(tile)
    lighter = photographs.lighten(f"<p>{photograph}</p>")
    assert lighter.startswith('<p><image xlink:href="data:image/webp;base64,') and lighter.endswith('"/></p>')
    assert len(lighter) < 0.7 * len(photograph)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(lighter.split(",")[1].split('"')[0]))).convert("L"))
    assert shown.shape == tile.shape and np.abs(shown.astype(int) - tile).mean() < 4
    rng = np.random.default_rng(0)
    dots = embedded(rng.choice([0, 90, 255], (200, 200)))
    seen_through = embedded(rng.integers(0, 255, (100, 100, 4)))
    small = embedded(tile[:40, :40])
    for exact in (dots, seen_through, small):
        assert photographs.lighten(exact) == exact


class _Writer:
    def __init__(self):
        self.body = []


def _math(tex, display=False):
    writer = _Writer()
    node = nodes.math_block(tex, tex, nowrap=False, number=None) if display else nodes.math(tex, tex)
    with pytest.raises(nodes.SkipNode):
        mathml.visit(writer, node, display=display)
    return "".join(writer.body)


def test_formula_becomes_mathml_with_its_source():
    markup = _math(r"\frac{a}{b}")
    assert "<mfrac>" in markup and r'alttext="\frac{a}{b}"' in markup and 'display="block"' not in markup
    assert 'display="block"' in _math("x^2", display=True)


def test_formula_that_does_not_parse_is_an_error():
    with pytest.raises(ValueError, match="left"):
        mathml.visit(_Writer(), nodes.math("", r"\left("), display=False)


def test_page_describes_itself_by_its_first_real_paragraph():
    document = nodes.section("", nodes.paragraph("", "Short."), nodes.paragraph("", "A long paragraph. " * 20))
    context = {"title": "T"}
    app = SimpleNamespace(config=SimpleNamespace(html_title="Book"))
    pages.describe(app, "p", "page.html", context, document)
    assert 'content="A long paragraph.' in context["metatags"] and len(context["metatags"]) < 230
    own = {"metatags": '<meta name="description" content="Mine">'}
    pages.describe(app, "p", "page.html", own, document)
    assert own["metatags"].count("description") == 1


def test_configuration_repeats_the_address_of_the_project():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] == repository()
    assert config["sphinx"]["config"]["html_theme_options"]["repository_url"] == repository()


def test_a_failing_cell_costs_its_page_and_not_the_site():
    """That `make book` still ends with an error is tested with the build (tests/cvprod/book)."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["sphinx"]["config"]["nb_execution_raise_on_error"] is False
    assert config["execute"]["execute_notebooks"] == "cache" and config["execute"].get("allow_errors") is not True


def test_chapters_are_numbered_by_their_files():
    title = nodes.title("", "API", secnumber=(5,))
    link = nodes.reference("", "REST", secnumber=(5, 1))
    env = SimpleNamespace(
        toc_secnumbers={"notebooks/07_api": {"": (5,), "#rest": (5, 1)}, "book/intro": {"": (1,)}},
        titles={"notebooks/07_api": title}, longtitles={}, tocs={"notebooks/07_api": nodes.bullet_list("", link)},
    )  # fmt: skip
    assert numbers.renumber(None, env) == []
    assert env.toc_secnumbers == {"notebooks/07_api": {"": (7,), "#rest": (7, 1)}, "book/intro": {"": (1,)}}
    assert title["secnumber"] == (7,) and link["secnumber"] == (7, 1)


def _introduced(pagename, metatags='<meta name="description" content="Words &amp; more." />'):
    context = {"metatags": metatags, "title": "A <em>title</em>"}
    app = SimpleNamespace(config=SimpleNamespace(html_title="The book"))
    discovery.introduce(app, pagename, "page.html", context, None)
    return BeautifulSoup(context["metatags"], "html.parser")


def test_page_says_its_address_and_what_a_preview_shows(monkeypatch):
    monkeypatch.setenv("CVPROD_SITE_URL", "https://example.org/book")
    page = _introduced("notebooks/02_x")
    assert page.find("link", rel="canonical")["href"] == "https://example.org/book/notebooks/02_x.html"
    seen = {tag["property"]: tag["content"] for tag in page.find_all("meta", property=True)}
    assert seen["og:title"] == "A title" and seen["og:description"] == "Words & more." and seen["og:type"] == "article"
    assert _introduced("book/intro").find("link", rel="canonical")["href"] == "https://example.org/book/"
    monkeypatch.delenv("CVPROD_SITE_URL")
    owner, project = repository().removeprefix("https://github.com/").split("/")
    assert _introduced("x").find("link", rel="canonical")["href"] == f"https://{owner}.github.io/{project}/x.html"


def test_site_map_lists_each_page_once_and_the_first_one_as_the_root(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_SITE_URL", "https://example.org/")
    for name in ("index.html", "book/intro.html", "search.html", "notebooks/a.html", "_static/x.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    app.config = SimpleNamespace(html_title="The book")
    for _ in range(2):  # a second build changes nothing
        discovery.write(app, None)
        found = re.findall(r"<loc>(.*?)</loc>", (tmp_path / "sitemap.xml").read_text())
        assert found == ["https://example.org/", "https://example.org/notebooks/a.html"]
    assert "Sitemap: https://example.org/sitemap.xml" in (tmp_path / "robots.txt").read_text()
    assert "https://example.org/" in (tmp_path / "404.html").read_text()


def test_first_page_moves_up_with_its_links(tmp_path):
    (tmp_path / "book").mkdir()
    old = tmp_path / "book/intro.html"
    old.write_text(
        '<html data-content_root="../"><a href="live.html#x"></a><a href="../notebooks/a.html"></a><a href="#here"></a>'
        '<img src="../_static/a.svg"><a href="https://example.org/x">'
    )
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    for _ in range(2):
        landing.front(app, None)
        page = (tmp_path / "index.html").read_text()
        assert 'data-content_root="./"' in page and 'href="book/live.html#x"' in page and 'href="#here"' in page
        assert 'href="notebooks/a.html"' in page and 'src="_static/a.svg"' in page and "https://example.org/x" in page
        assert "../index.html" in old.read_text()


def test_links_to_the_first_page_lead_to_where_it_is():
    context = {"pagename": "notebooks/a", "pathto": lambda name: f"../{name}.html"}
    assert landing.to_front('<a href="../book/intro.html">', context) == '<a href="../index.html">'


def test_first_page_has_this_builds_figures(monkeypatch, tmp_path):
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path))
    assert "when the chapters have run" in landing.figures()
    measured = (("big", "baseline", 20, 44e6, 0.99), ("small", "other", 0.2, 2.2e5, 0.985))
    ledger.record(2, [
        ledger.Row(2, name, kind, p50_ms=ms, size_bytes=size, accuracy=share, n_tiles=2000)
        for name, kind, ms, size, share in measured
    ])  # fmt: skip
    text = BeautifulSoup(landing.figures(), "html.parser").get_text(" ")
    assert "100 ×" in text and "200 ×" in text and "-0.5" in text


def test_first_page_tells_of_real_photographs_what_is_recorded():
    from cvprod.bench.sim2real import recorded

    final = recorded("pipeline")
    assert f"of {final['n_images']} the final file names {final['accuracy']:.1%} rightly" in landing.photographs()


def test_networks_trained_again_do_not_cost_the_first_page(monkeypatch):
    from cvprod.bench import sim2real

    monkeypatch.setattr(sim2real, "weights_sha256", lambda network: "0" * 64)
    assert landing.photographs() == ""


def _built(found):
    """The part of Sphinx that the solutions' pages use."""
    highlighter = SimpleNamespace(highlight_block=lambda code, language: f"<pre>{code}</pre>")
    return SimpleNamespace(
        srcdir=ROOT, env=SimpleNamespace(found_docs=found), builder=SimpleNamespace(highlighter=highlighter)
    )


def test_solutions_are_folded_by_chapter_and_linked_both_ways():
    names = ("01a_percentiles", "01b_coordinated_omission", "12b_erase")
    found = {f"exercises/release/{name}/{name}" for name in names}
    made = {name: context for name, context, _ in solutions.collect(_built(found))}
    assert set(made) == {"exercises/solutions/01", "exercises/solutions/12"}
    page = BeautifulSoup(made["exercises/solutions/01"]["body"], "html.parser")
    assert [h.get_text()[:3] for h in page.select("h2")] == ["1a:", "1b:"]
    folds = page.select("details")
    assert len(folds) == 6 and not any(fold.has_attr("open") for fold in folds)
    for part in folds:
        assert part.find("summary").get_text().endswith("points")
        assert "Mistakes that lose the points" in part.get_text() and part.find("pre")
    assert not page.find(string=lambda text: "BEGIN SOLUTION" in text)
    for name in found:
        context = {"body": "<h1>x</h1>"}
        solutions.fill(_built(found), name, "page.html", context, None)
        link = BeautifulSoup(context["body"], "html.parser").find("a")["href"]
        path, _, anchor = link.partition("#")
        target = f"exercises/{path.removeprefix('../../').removesuffix('.html')}"
        there = BeautifulSoup(made[target]["body"], "html.parser")
        back = there.find(id=anchor).find("a")["href"]
        assert f"exercises/{back.removeprefix('../').removesuffix('.html')}" == name
    other = {"body": "x"}
    solutions.fill(_built(found), "notebooks/01_production_readiness", "page.html", other, None)
    assert other == {"body": "x"}


def test_every_exercise_is_in_the_table_with_what_it_asks_for():
    table = BeautifulSoup(exercise_index.table(ROOT), "html.parser")
    rows = table.select("tbody tr")
    folders = {path.name for path in (ROOT / "exercises/release").iterdir() if path.is_dir() and path.name[0] != "."}
    assert {row.find("a")["href"].split("/")[-2] for row in rows} == folders
    for row in rows:
        chapter, points, time, parts, after = (cell.get_text() for cell in row.find_all("td"))
        assert after.startswith("Solution ")
        assert re.fullmatch(r"\d+(, \d+)*", chapter) and int(points) > 0 and "minutes" in time and len(parts) > 10
