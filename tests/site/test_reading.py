"""What the build adds to pages and beside them: times, folds, terms, status, redirects, archive, app, one sheet."""

import json
import shutil
import subprocess
import zipfile
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import checks
import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from cvprod import ledger
from cvprod.repo import ROOT, repository

cvprod_site = pytest.importorskip("cvprod_site")
from cvprod_site import archive, assets, glossary, pages, pwa, reading, redirects, status  # noqa: E402

HTML = SimpleNamespace(format="html")


def _notebook(path, words=0, lines=0, hidden=0):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "word " * words},
        {"cell_type": "code", "metadata": {}, "source": ["x = 1\n", "\n"] * lines},
        {"cell_type": "code", "metadata": {"tags": ["hide-input"]}, "source": "y = 2\n" * hidden},
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_reading_time_counts_words_and_the_code_that_is_shown(tmp_path):
    assert reading.minutes(_notebook(tmp_path / "a.ipynb", words=2200)) == 10
    assert reading.minutes(_notebook(tmp_path / "a.ipynb", lines=200)) == 10
    assert reading.minutes(_notebook(tmp_path / "a.ipynb", words=220, hidden=500)) == 1


@pytest.mark.parametrize(("data", "said"), [({"exec_data": {"runtime": 61.4}}, "in 61 s"), ({}, "were not run")])
def test_chapter_says_its_times_and_no_other_page_does(tmp_path, data, said):
    place = _notebook(tmp_path / "notebooks/01_x.ipynb", words=440)
    env = SimpleNamespace(nb_metadata={"notebooks/01_x": data}, doc2path=lambda name: str(place))
    for name, expected in (("notebooks/01_x", 1), ("book/intro", 0)):
        context = {"body": "<h1>A title</h1><p>x</p>"}
        reading.times(SimpleNamespace(env=env), name, "page.html", context, None)
        assert context["body"].count('class="cv-times"') == expected
        assert not expected or ("2 minutes" in context["body"] and said in context["body"])


def _output(lines):
    text = "\n".join(f"line {n}" for n in range(lines))
    inner = f'<div class="highlight"><pre><span></span>{text}\n</pre></div>'
    return f'<div class="output stream highlight-x">{inner}\n</div>'


def _table(rows):
    body = "<tr><td>1</td></tr>" * (rows + 1)
    return f'<div class="cv-table" role="group"><table><caption>Prices</caption>{body}</table></div>'


def test_long_outputs_and_tables_are_folded_and_short_ones_are_not():
    body = _output(reading.LONG) + _output(reading.LONG + 9) + _table(5) + _table(80)
    page = BeautifulSoup(reading.finish(body, "notebooks/01_x"), "html.parser")
    folds = page.select("details.cv-long")
    assert [fold.summary.get_text() for fold in folds] == [f"Output of {reading.LONG + 9} lines", "Prices (80 rows)"]
    assert f"line {reading.LONG + 8}" in folds[0].get_text()
    assert "<details" not in reading.finish(body, "book/glossary")


def test_ledger_table_stays_open():
    assert "<details" not in reading.finish(_table(80).replace("cv-table", "cv-table cv-ledger"), "notebooks/01_x")


def test_each_section_can_be_reported_with_its_anchor():
    heading = '<h2>Kill <em>it</em> &amp; see<a class="headerlink" href="#kill-it" aria-label="Link">#</a></h2>'
    page = BeautifulSoup(reading.finish(heading + "<h2>No anchor</h2>" + heading, "notebooks/09_x"), "html.parser")
    links = page.select("h2 a.cv-report")
    assert len(links) == 2
    address = urlsplit(links[0]["href"])
    asked = parse_qs(address.query)
    assert links[0]["href"].startswith(f"{repository()}/issues/new?")
    assert asked["title"] == ["09_x: Kill it & see"] and "notebooks/09_x.html#kill-it" in asked["body"][0]
    assert links[0]["aria-label"] == "Report this section: Kill it & see"


GLOSSARY = """# Glossary

:::{glossary}
Canary
  A bird.

Dynamic batching
  Waiting.

p50, p99
  Numbers.

Stream (CUDA)
  A queue.

GIL
  A lock.
:::
"""


def _chapter(tmp_path, *paragraphs, title="Chapter"):
    (tmp_path / "book").mkdir(exist_ok=True)
    (tmp_path / "book/glossary.md").write_text(GLOSSARY)
    env = SimpleNamespace(docname="notebooks/02_x", note_dependency=lambda path: None)
    inner = nodes.section("", nodes.title("", "Inner"), *paragraphs, ids=["inner"])
    page = nodes.section("", nodes.title("", title), inner, ids=["chapter"])
    glossary.link(SimpleNamespace(env=env, srcdir=tmp_path), page)
    return env, [cross.astext() for cross in page.findall(glossary.addnodes.pending_xref)], page


def test_first_use_of_a_term_is_linked_and_remembered(tmp_path):
    env, linked, page = _chapter(
        tmp_path,
        nodes.paragraph("", "A canary sings. Another canary,\nand dynamic\nbatching; no stream, no canaryx."),
        nodes.paragraph("", "One more canary; gil differs from GIL."),
    )
    assert linked == ["canary", "dynamic\nbatching", "GIL"]
    assert env.cvprod_terms == {"notebooks/02_x": dict.fromkeys(("Canary", "Dynamic batching", "GIL"), "inner")}
    assert "A canary sings. Another canary,\nand dynamic\nbatching; no stream" in page.astext()


def test_code_titles_links_and_lists_of_sources_are_left_alone(tmp_path):
    quiet = nodes.section("", nodes.title("", "References"), nodes.paragraph("", "Canary, GIL"), ids=["references"])
    reference = nodes.paragraph("", "", nodes.reference("", "GIL"), nodes.literal("", "canary"))
    assert _chapter(tmp_path, reference, quiet, title="Canary")[1] == []


def test_glossary_leads_back_to_where_its_terms_are_used():
    env = SimpleNamespace(cvprod_terms={"notebooks/09_a": {"Canary": "c"}, "notebooks/02_b": {"Canary": "d"}})
    entry = '<dt id="t">{}<a class="headerlink" href="#t">#</a></dt><dd><p>Says.</p></dd>'
    context = {"body": entry.format("Canary") + entry.format("GIL")}
    glossary.back(SimpleNamespace(env=env), "book/glossary", "", context, None)
    used, unused = BeautifulSoup(context["body"], "html.parser").find_all("dd")
    assert [link["href"] for link in used.find_all("a")] == ["../notebooks/02_b.html#d", "../notebooks/09_a.html#c"]
    assert "First use in chapters 2, 9." in used.get_text() and "First use" not in unused.get_text()
    glossary.forget(None, env, "notebooks/09_a")
    assert list(env.cvprod_terms) == ["notebooks/02_b"]


def test_terms_of_the_real_glossary_are_found():
    found = glossary.terms(ROOT / "book/glossary.md")
    assert len(found) > 50 and "Canary" in found and not any("(" in term for term in found)


def test_status_page_tells_what_ran_and_what_did_not(tmp_path, monkeypatch):
    monkeypatch.setenv("CVPROD_LEDGER", str(tmp_path / "ledger"))
    ledger.record(1, [ledger.Row(1, "a", p50_ms=1), ledger.Row(1, "b", p50_ms=2)])
    place = _notebook(tmp_path / "notebooks/01_x.ipynb", words=440)
    env = SimpleNamespace(
        found_docs={"notebooks/01_x", "notebooks/02_y", "notebooks/ledger"},
        titles={name: nodes.title("", name[-1]) for name in ("notebooks/01_x", "notebooks/02_y")},
        nb_metadata={"notebooks/01_x": {"exec_data": {"runtime": 83.2}}}, doc2path=lambda name: str(place),
    )  # fmt: skip
    context = {"body": status.MARK}
    status.fill(SimpleNamespace(env=env), status.PAGE, "", context, None)
    first, second = BeautifulSoup(context["body"], "html.parser").select("table.cv-status")
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in first.select("tbody tr")]
    assert rows[0][:4] == ["1. x", "83 s", "2 min", "2"] and rows[1][:4] == ["2. y", "not run here", "2 min", "–"]
    assert "cores" in rows[0][5] and rows[1][4] == "–"
    assert "torch" in second.get_text() and "Python" in second.get_text()


def _redirecting(tmp_path, text, found=("book/status", "book/live", "notebooks/a")):
    (tmp_path / "book").mkdir(exist_ok=True)
    (tmp_path / redirects.SOURCE).write_text(text)
    env = SimpleNamespace(found_docs=set(found))
    return SimpleNamespace(srcdir=tmp_path, outdir=tmp_path / "out", builder=HTML, env=env)


def test_old_addresses_lead_on(tmp_path):
    text = "# why\nlive.html book/live.html\nold/deep/x.html notebooks/a.html  # y\n"
    redirects.write(_redirecting(tmp_path, text), None)
    assert "url=book/live.html" in (tmp_path / "out/live.html").read_text()
    assert "url=../../notebooks/a.html" in (tmp_path / "out/old/deep/x.html").read_text()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a.html", "write 'old.html new.html'"), ("a.html https://example.org/", "write"),
        ("../a.html b.html", "write"),
        ("a.html book/live.html\na.html book/status.html", "twice"), ("a.html gone.html", "no page of the book"),
        ("book/live.html book/status.html", "is a page"),
    ],
)  # fmt: skip
def test_redirect_that_leads_nowhere_ends_the_build(tmp_path, line, fault):
    with pytest.raises(redirects.RedirectError, match=fault):
        redirects.write(_redirecting(tmp_path, line), None)


def test_every_redirect_of_the_book_is_well_formed():
    assert len(redirects.read(ROOT / redirects.SOURCE)) >= 5


def test_archive_holds_the_site_once_and_not_itself(tmp_path):
    for name in ("index.html", "_static/a.css", "_static/a.png", ".doctrees/x", "_sources/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name * 50)
    for _ in range(2):
        made = archive.pack(tmp_path)
        with zipfile.ZipFile(made) as packed:
            assert packed.testzip() is None
            names = [name.removeprefix(f"{archive.TOP}/") for name in packed.namelist()]
        assert names == ["_static/a.css", "_static/a.png", "index.html"]
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def _app(tmp_path):
    others = ("styles/book.css", "live/live.js", "live/model.js")
    for name in (pwa.PAGE, "notebooks/a.html", *(f"_static/{other}" for other in others)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    pwa.write(SimpleNamespace(outdir=tmp_path, builder=HTML), None)
    return (tmp_path / "sw.js").read_text(), json.loads((tmp_path / "manifest.webmanifest").read_text())


def test_worker_keeps_the_demo_alone_and_changes_with_it(tmp_path):
    worker, manifest = _app(tmp_path)
    assert '"book/live.html"' in worker and "model.js" in worker and "notebooks/a.html" not in worker
    assert _app(tmp_path)[0] == worker
    for icon in manifest["icons"]:
        side = int(icon["sizes"].split("x")[0])
        assert pwa.icon(side).shape == (side, side, 3) and (tmp_path / icon["src"]).is_file()
    (tmp_path / "_static/live/model.js").write_text("another")
    assert pwa.worker(tmp_path) != worker
    if shutil.which("node"):
        subprocess.run(["node", "--check", str(tmp_path / "sw.js")], check=True)


def test_one_sheet_holds_all_and_its_addresses_still_lead_there(tmp_path):
    (tmp_path / "styles").mkdir()
    (tmp_path / "custom.css").write_text('p { background: url(a.svg) } /* gone */ i { mask: url("data:x") }')
    (tmp_path / "styles/sphinx-book-theme.css").write_text("@charset 'utf-8'; b { background: url('../fonts/f.woff') }")
    assets.bundle(tmp_path, set())
    made = (tmp_path / assets.BUNDLE).read_text()
    assert 'url("../a.svg")' in made and 'url("../fonts/f.woff")' in made and 'url("data:x")' in made
    assert "gone" not in made and "@charset" not in made and made.index("f.woff") < made.index("a.svg")


HEAD = (
    '<html lang="en"><head><link href="../_static/styles/theme.css?digest=1" rel="stylesheet" />'
    '<link rel="stylesheet" href="../_static/pygments.css?v=2" /><link rel="stylesheet" href="../_static/custom.css" />'
    '<link rel="stylesheet" href="../_static/mystnb.0a.css" /><link rel="icon" href="../_static/favicon.svg"/>'
    '<script src="../_static/doctools.js"></script><script>DOCUMENTATION_OPTIONS.pagename = "x";</script></head>'
    '<body><article class="bd-article"><p>x</p></article></body></html>'
)


def test_page_links_one_sheet_and_no_script_keeps_it_waiting():
    context = {"pagename": "notebooks/01_x", "pathto": lambda name, resource=False: "../" + name, "cv_sheet": "ab"}
    page = BeautifulSoup(pages.finish(HEAD, context), "html.parser")
    assert [link["href"] for link in page.select("link[rel=stylesheet]")] == ["../_static/styles/book.css?v=ab"]
    assert page.select_one("link[rel=icon]")
    assert all(script.has_attr("defer") for script in page.select("script[src]"))
    (inline,) = (script for script in page.select("script:not([src])") if "DOCUMENTATION" in script.get_text())
    assert inline.get_text().startswith('addEventListener("DOMContentLoaded"')
    assert page.html["data-theme"] == "light" and "bd-sidebar-primary" in str(page.noscript)


@pytest.mark.site
def test_built_pages_are_one_sheet_and_lead_to_the_archive(site):
    for page in checks.html_pages(site):
        sheets = [link["href"] for link in checks.soup(page).select("link[rel=stylesheet]")]
        assert sum("/book.css" in sheet for sheet in sheets) == 1, page
        assert all("/book.css" in sheet or "design" in sheet for sheet in sheets), (page, sheets)
    whole = (site / "_static" / assets.BUNDLE).read_text(encoding="utf-8")
    assert 'html[data-theme="dark"] .highlight' in whole  # the theme's colours of code, which it writes last of all
    assert zipfile.is_zipfile(site / archive.PLACE)
    uses = checks.soup(site / "book/glossary.html").select("p.cv-uses")
    assert len(uses) > 30


@pytest.mark.site
def test_page_without_scripts_has_colours_and_a_menu(site, browser):
    from chromium import Site

    with Site(site) as server:
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        try:
            browser.open(server.address + "notebooks/ledger.html", width=360, settle=False)
            found = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
            menu = browser.call("DOM.querySelector", nodeId=found, selector="#pst-primary-sidebar a.reference")
            box = browser.call("DOM.getBoxModel", nodeId=menu["nodeId"])["model"]
            assert box["width"] > 40 and box["height"] > 10
        finally:
            browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.site
def test_demo_is_kept_for_use_without_a_network(site, browser):
    """After one visit the page comes from the worker, isolated, with the server gone."""
    from chromium import Site

    start = """document.querySelector('.cv-live-start').click(); new Promise((done, fail) => {
      const look = n => document.querySelector('.cv-live').dataset.ready ? done() : n ? setTimeout(look, 100, n - 1)
        : fail(new Error(document.querySelector('.cv-live-status').textContent));
      look(600); })"""
    server = Site(site)
    with server:
        browser.open(server.address + pwa.PAGE)
        browser.run(start)
        browser.run("navigator.serviceWorker.ready.then(() => 0)")
    browser.open(server.address + pwa.PAGE)
    assert browser.run("crossOriginIsolated") is True
    browser.run(start)
    assert browser.run("globalThis.cvprodLive.last().label.length") > 0
