"""The book's Sphinx extension, piece by piece."""

from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes

from cvprod.book.notebooks import HARDWARE_TAGS
from cvprod.repo import ROOT, repository

cvprod_site = pytest.importorskip("cvprod_site")
from cvprod_site import assets, hardware_cells, mathml, numbers, pages  # noqa: E402

FRAME = (
    "<html><head>{head}</head><body><div><button title='Toggle'><i class='fa-solid fa-bars'></i></button>"
    '<article class="bd-article">{body}</article></div></body></html>'
)
CONTEXT = {"pagename": "notebooks/01_x", "pathto": lambda name, resource=False: "../" + name}


def _finish(body="", head="", **context):
    return pages.finish(FRAME.format(head=head, body=body), {**CONTEXT, **context})


@pytest.mark.parametrize("how", ["added", "changed", "removed"])
def test_ledger_is_read_again_with_a_chapter(how):
    env = SimpleNamespace(found_docs={"notebooks/ledger", "notebooks/01_x"})
    sets = {name: set() for name in ("added", "changed", "removed")}
    assert cvprod_site.ledger_follows_chapters(None, env, **sets) == []
    assert cvprod_site.ledger_follows_chapters(None, env, **{**sets, how: {"book/glossary"}}) == []
    assert cvprod_site.ledger_follows_chapters(None, env, **{**sets, how: {"notebooks/01_x"}}) == [
        "notebooks/ledger",
        "book/intro",
    ]


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


def test_only_used_icons_stay_in_the_sheet():
    sheet = '.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}.fa-bug:before{content:"\\f188"}p{color:red}'
    kept = assets.used_rules(sheet, {"fa-bars"})
    assert "f0c9" in kept and "f188" not in kept and "p{color:red}" in kept


def test_icon_font_holds_what_is_used_and_is_small(tmp_path):
    from fontTools.ttLib import TTFont

    rule = "@font-face{font-family:Font Awesome 6 Free;font-weight:900;src:url(x)}"
    made = assets._face(rule, {0xF0C9, 0xF002}, tmp_path)
    file = tmp_path / "fa-solid-900.woff"
    assert "fa-solid-900.woff" in made
    assert set(TTFont(file).getBestCmap()) == {0xF0C9, 0xF002}
    assert file.stat().st_size < 5_000


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


def test_a_failing_cell_fails_the_book():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["sphinx"]["config"]["nb_execution_raise_on_error"] is True
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
