"""The built pages, read as files."""

import json
import re
from itertools import islice

import checks
import pytest
from bs4 import BeautifulSoup

from cvprod.book.notebooks import committed, hardware, read
from cvprod.repo import ROOT

# What each chapter promises to teach: every term is in a heading of its page.
TERMS = {
    "01": "Model requirements gathering|Performance benchmarking|Resource constraints|Accuracy vs speed trade-offs|"
    "Edge vs cloud deployment decisions",
    "02": "Quantization|INT8|FP16|mixed precision|Pruning|structured|unstructured|Knowledge distillation|"
    "Neural architecture search|Layer fusion and operator optimization|Comparison of techniques|"
    "Complete optimization pipeline",
    "03": "ONNX|model conversion|ONNX Runtime optimization|multi-platform deployment|TensorRT|INT8 calibration|"
    "dynamic shapes|plugins and custom layers|OpenVINO|model optimizer|inference engine|Core ML",
    "04": "Mobile deployment|iOS|Android|TensorFlow Lite|PyTorch Mobile|Embedded systems|Raspberry Pi|Jetson|"
    "Coral TPU|FPGA|complete mobile app examples",
    "09": "Blue-green deployment|Canary deployment|A/B testing for models|Shadow deployment|Rollback strategies|"
    "CI/CD pipelines for ML|GitHub Actions example",
}
CHECKS = [
    checks.broken_links,
    checks.outside_loads,
    checks.nameless_images,
    checks.raw_markup,
    checks.heading_faults,
    checks.head_faults,
    checks.doubled_ids,
]


@pytest.mark.site
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_site_has_no(check, site):
    assert len(checks.html_pages(site)) >= 5
    found = list(islice(check(site), 20))
    assert not found, "\n".join(found)


def _words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


@pytest.mark.site
@pytest.mark.parametrize("chapter", TERMS)
def test_every_promised_term_has_its_heading(chapter, site):
    found = list((site / "notebooks").glob(f"{chapter}_*.html"))
    if not found:
        pytest.skip(f"chapter {chapter} is not in the contents")
    tags = checks.soup(found[0]).find("article").find_all(["h2", "h3"])
    headings = [_words(tag.get_text()) for tag in tags]
    missing = [term for term in TERMS[chapter].split("|") if not any(set(_words(term)) <= set(h) for h in headings)]
    assert not missing


@pytest.mark.site
def test_every_hardware_cell_says_where_it_was_run(site):
    for path in committed():
        page = site / "notebooks" / f"{path.stem}.html"
        if not page.exists():
            continue
        cells = [cell for cell in read(path).cells if hardware(cell)]
        labels = [tag.get_text() for tag in checks.soup(page).select("p.cv-hardware")]
        assert len(labels) == len(cells), path.name
        for cell, label in zip(cells, labels, strict=True):
            recorded = cell.metadata.get("recorded")
            assert (recorded["date"] in label) if recorded else ("Not yet run" in label)


@pytest.mark.site
def test_search_index_knows_the_chapters(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    titles = json.loads(re.search(r'"?docnames"?:\s*(\[.*?\])', index)[1])
    assert "notebooks/ledger" in titles and len(titles) >= 5


PAGE = (
    '<html lang="en"><head><title>A page</title><meta name="viewport" content="w">'
    '<meta name="description" content="A page that says what it is about.">{head}</head>'
    '<body><article class="bd-article"><h1 id="a">One</h1>{body}</article></body></html>'
)


def _site(tmp_path, body="", head=""):
    (tmp_path / "index.html").write_text(PAGE.format(head=head, body=body))
    checks.soup.cache_clear()
    return tmp_path


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_checks_accept_a_sound_page(check, tmp_path):
    body = '<h2 id="b">Two</h2><a href="#b">b</a><img src="x.png" alt="A picture"><code>$x$ **y</code> $3 to $5'
    assert not list(check(_site(tmp_path, body)))


@pytest.mark.parametrize(
    ("check", "body", "head"),
    [
        (checks.broken_links, '<a href="missing.html">x</a>', ""),
        (checks.broken_links, '<a href="#nowhere">x</a>', ""),
        (checks.broken_links, '<a href="../outside.html">x</a>', ""),
        (checks.outside_loads, '<img src="https://example.org/x.png" alt="A picture">', ""),
        (checks.outside_loads, "", '<script src="//example.org/x.js"></script>'),
        (checks.outside_loads, "", '<link rel="stylesheet" href="https://example.org/x.css">'),
        (checks.outside_loads, "<style>@import 'https://example.org/x.css';</style>", ""),
        (checks.outside_loads, '<p style="background:url(https://example.org/x.png)">x</p>', ""),
        (checks.nameless_images, '<img src="x.png">', ""),
        (checks.nameless_images, '<img src="x.png" alt=" ">', ""),
        (checks.nameless_images, '<svg role="img"><path/></svg>', ""),
        (checks.nameless_images, '<svg role="img" aria-labelledby="gone"><title>T</title></svg>', ""),
        (checks.raw_markup, "<p>where $S$ is the time</p>", ""),
        (checks.raw_markup, "<p>a **bold** word</p>", ""),
        (checks.raw_markup, "<p>see [there](page.md)</p>", ""),
        (checks.heading_faults, "<h3>Skipped</h3>", ""),
        (checks.heading_faults, "<h1>Second</h1>", ""),
        (checks.head_faults, "", '<meta name="description" content="Another description of this page.">'),
        (checks.doubled_ids, '<p id="a">x</p>', ""),
    ],
)
def test_checks_find_a_planted_fault(check, body, head, tmp_path):
    assert len(list(check(_site(tmp_path, body, head)))) == 1


def test_the_book_builds(built):
    assert built is None or built.returncode == 0, (built.stdout + built.stderr)[-3000:]


def test_every_page_in_the_contents_exists():
    import yaml

    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [contents["root"]] + [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    missing = [name for name in files if not any((ROOT / f"{name}{end}").exists() for end in (".md", ".ipynb"))]
    assert not missing and len(files) == len(set(files))


def test_bs4_reads_drawings():  # the checks above rest on it
    assert BeautifulSoup('<svg role="img"></svg>', "html.parser").svg["role"] == "img"
