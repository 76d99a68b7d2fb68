"""One document of all pages: links lead within it, nothing stays folded, and Chromium prints it."""

import contextlib
import re
import zlib

import pytest
import yaml
from bs4 import BeautifulSoup

from cvprod.book import pdf

PAGES = ["book/intro", "notebooks/01_a", "book/b"]
BODIES = {
    "index.html": '<h1 id="top">Book</h1><a href="notebooks/01_a.html#one">one</a><a href="book/b.html">b</a>'
    '<img src="_static/a.png" alt="A picture"><a href="https://example.org/x">out</a>'
    '<a href="download/x.zip">zip</a>',
    "notebooks/01_a.html": '<h1 id="top">Chapter</h1><h2 id="one">One</h2><a href="#top">up</a>'
    '<a href="../index.html">0</a>'
    '<details class="x"><summary>More</summary>folded</details><details open><summary>s</summary>t</details>'
    '<svg><clipPath id="c"></clipPath><g clip-path="url(#c)"><use xlink:href="#c"></use></g></svg>'
    "<script>alert(1)</script>",
    "book/b.html": '<h1 id="top">B</h1><label for="box">x</label><input id="box">',
}


@pytest.fixture
def site(tmp_path):
    for place, body in BODIES.items():
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'<html><body><nav>menu</nav><article class="bd-article">{body}</article></body></html>')
    sheet = tmp_path / "_static/styles/book.css"
    sheet.parent.mkdir(parents=True)
    sheet.write_text('p { color: red } @font-face { src: url("../fonts/a.woff") }')
    return tmp_path


def test_every_link_leads_into_the_document_or_out_of_the_book(site):
    page = BeautifulSoup(pdf.whole(site, PAGES), "html.parser")
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids)) == 3 + 6  # three pages, and what they hold
    links = [link["href"] for link in page.find_all("a", href=True)]
    assert "https://example.org/x" in links and len(links) == 5
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert page.find("a", string="zip") and not page.find("a", string="zip").has_attr("href")
    assert page.find("a", string="up")["href"] == f"#{page.find('h1', string='Chapter')['id']}"


def test_drawings_and_labels_still_find_their_parts(site):
    page = BeautifulSoup(pdf.whole(site, PAGES), "html.parser")
    part = page.svg.find("clippath")["id"]
    assert page.svg.g["clip-path"] == f"url(#{part})" and page.svg.use["xlink:href"] == f"#{part}"
    assert page.label["for"] == page.input["id"]


def test_document_is_light_open_and_without_scripts_or_menus(site):
    text = pdf.whole(site, PAGES)
    page = BeautifulSoup(text, "html.parser")
    assert page.html["data-theme"] == "light"
    assert all(part.has_attr("open") for part in page.find_all("details")) and "<script" not in text
    assert "menu" not in page.get_text()
    assert (site / "_static/a.png").as_uri() in text and (site / "_static/fonts/a.woff").as_uri() in text


def test_pages_stand_in_the_order_of_the_contents(site, tmp_path):
    listed = {
        "root": "book/intro",
        "parts": [{"chapters": [{"file": "a", "sections": [{"file": "b"}]}, {"file": "c"}]}],
    }
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(listed))
    assert pdf.contents(tmp_path) == ["book/intro", "a", "b", "c"]
    assert re.findall(r"<h1[^>]*>(\w+)", pdf.whole(site, PAGES)) == ["Book", "Chapter", "B"]


def test_what_is_missing_is_said(site, capsys, monkeypatch):
    with pytest.raises(pdf.PdfError, match=r"02_none\.html is missing.*make book"):
        pdf.whole(site, [*PAGES, "notebooks/02_none"])
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    assert pdf.main(["--site", str(site), "--out", str(site / "x.pdf")]) == 1
    assert "apt-get install chromium" in capsys.readouterr().err and not (site / "x.pdf").exists()


@pytest.fixture
def printed(site):
    try:
        pdf.browser()
    except pdf.PdfError as reason:
        pytest.skip(str(reason))

    def make():
        out = site / "made/book.pdf"
        pdf.make(out, site, PAGES)
        return out.read_bytes()

    return make


def strings(data):
    """How often a PDF draws text."""
    found = 0
    for packed in re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)endstream", data, re.S):
        with contextlib.suppress(zlib.error):
            found += len(re.findall(rb"\bT[jJ]\b", zlib.decompress(packed)))
    return found


def test_chromium_prints_a_page_for_each_page(printed):
    data = printed()
    assert data.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", data)) == 3


def test_what_fades_in_on_the_site_is_there_in_print(site, printed):
    before = strings(printed())
    sheet = site / "_static/styles/book.css"
    sheet.write_text("@keyframes come { 0% { opacity: 0 } } details[open] { animation: come 3s }")
    assert strings(printed()) == before > 0
