"""The built pages in a real browser: what they fetch, weigh, and how they fare on a phone, in the dark, with axe."""

import gzip
import json
from pathlib import Path
from urllib.parse import urlsplit

import checks
import pytest

pytestmark = pytest.mark.site

WEIGHT = 250_000  # bytes, gzipped, of everything that a page fetches but images
IMAGES = {".png", ".svg", ".jpg", ".jpeg", ".webp", ".gif", ".ico"}
CONTRAST = """(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let ground = document.querySelector("article.bd-article"), fill;
  const ink = light(parse(getComputedStyle(ground).color));
  while (ground) {
    fill = parse(getComputedStyle(ground).backgroundColor);
    if (fill.length < 4 || fill[3] > 0) break;
    ground = ground.parentElement;
  }
  const paper = ground ? light(fill) : 1;
  return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), paper];
})()"""


#: Write a listing as plain text where each kind of token in it has been judged before, on this page or on another: axe
#: takes seconds for thousands of tokens. Text and size stay, so what the other rules look at does too.
FLATTEN = """(seen => {
  const known = new Set(seen);
  for (const block of document.querySelectorAll("div.highlight pre")) {
    const place = block.closest(".cell_input, .cell_output, .highlight").className;
    const parts = [...block.querySelectorAll("*")];
    const kinds = parts.map(part => `${place}/${part.tagName}/${part.getAttribute("class")}`);
    if (kinds.every(kind => known.has(kind)) && parts.every(part => part.tagName === "SPAN"))
      block.textContent = block.textContent;
    kinds.forEach(kind => known.add(kind));
  }
  return [...known];
})"""
AXE = """axe.run(document, {resultTypes: ["violations"]}).then(result => JSON.stringify(result.violations))"""


def faults(browser):
    """What axe finds on the page, as texts."""
    found = json.loads(browser.run(AXE))
    return [f"{rule['id']}: {node['html'][:150]}" for rule in found for node in rule["nodes"][:3]]


@pytest.fixture(scope="module")
def visits(site, browser, axe):
    """Every page, seen twice: light on a desk and dark on a phone."""
    from chromium import Site

    seen, known = {}, {"light": [], "dark": []}
    with Site(site) as server:
        for page in checks.html_pages(site):
            name = page.relative_to(site).as_posix()
            for view, width in (("light", 1400), ("dark", 360)):
                browser.open(server.address + name, width=width, dark=view == "dark")
                visit = {
                    "requests": browser.requests(),
                    "complaints": browser.complaints(),
                    "overflow": browser.overflow(),
                    "contrast": browser.run(CONTRAST) if browser.run("!!document.querySelector('article')") else None,
                }
                browser.run(axe + ";0")
                known[view] = browser.run(f"{FLATTEN}({json.dumps(known[view])})")
                visit["axe"] = faults(browser)
                seen[name, view] = visit
        yield server.address, seen


def _faults(visits, fault):
    found = [f"{name} ({view}): {text}" for (name, view), visit in visits[1].items() for text in fault(visit)]
    assert len(visits[1]) >= 10
    assert not found, "\n".join(found[:20])


def test_nothing_is_fetched_from_elsewhere(visits):
    host = urlsplit(visits[0]).netloc
    _faults(visits, lambda visit: [url for url in visit["requests"] if urlsplit(url).netloc != host])


def test_nothing_is_missing_and_no_script_fails(visits):
    _faults(visits, lambda visit: visit["complaints"])


def test_no_page_is_wider_than_the_phone(visits):
    _faults(visits, lambda visit: [f"{visit['overflow']} px too wide"] if visit["overflow"] > 0 else [])


def test_axe_finds_nothing(visits):
    _faults(visits, lambda visit: visit["axe"])


def test_text_is_readable_in_both_modes(visits):
    _faults(visits, lambda v: [f"contrast {v['contrast'][0]:.1f}"] if v["contrast"] and v["contrast"][0] < 7 else [])
    papers = {view: visit["contrast"][1] for (_, view), visit in visits[1].items() if visit["contrast"]}
    assert papers["dark"] < 0.05 < 0.8 < papers["light"]  # the dark mode is dark, the light one light


def test_pages_are_light(visits, site):
    address, seen = visits
    heavy = []
    for (name, view), visit in seen.items():
        files = {site / urlsplit(url).path.lstrip("/") for url in visit["requests"] if url.startswith(address)}
        total = sum(len(gzip.compress(path.read_bytes())) for path in files if path.suffix not in IMAGES)
        assert total > 20_000, f"{name}: only {total} bytes seen, so requests were missed"
        if total > WEIGHT:
            sizes = sorted(((len(gzip.compress(p.read_bytes())), p.name) for p in files), reverse=True)
            heavy.append(f"{name} ({view}): {total} bytes; {sizes[:3]}")
    assert not heavy, "\n".join(heavy)


def test_theme_switch_works(visits, browser, site):
    from chromium import Site

    with Site(site) as server:
        browser.open(server.address)  # its place in book/ leads here, and a page that leaves cannot be asked
        modes = set()
        for _ in range(3):
            browser.run("document.querySelector('.theme-switch-button').click()")
            modes.add(browser.run("document.documentElement.dataset.theme"))
    assert modes == {"light", "dark"}


def test_search_finds_a_term(browser, site):
    from chromium import Site

    with Site(site) as server:
        browser.open(server.address + "search.html?q=contract")
        found = browser.run(
            "new Promise(done => setTimeout(() => done(document.querySelectorAll('#search-results li').length), 1500))"
        )
    assert found > 0


def test_pages_are_there(site):
    assert all(Path(site, name).is_file() for name in ("index.html", "search.html", "book/intro.html"))


PLANTED = {
    "overflow": "<div style='width: 700px'>wide</div>",
    "overflow below the screen": "<div style='height: 9000px'></div><div class='cell' style='content-visibility: auto'>"
    "<div style='width: 700px'>wide</div></div>",
    "console": "<script>console.error('planted'); console.warn('planted')</script>",
    "throws": "<script>throw new Error('planted')</script>",
    "missing": "<img src='nowhere.png' alt='a picture that is not there'>",
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_seen(browser, tmp_path, fault):
    from chromium import Site

    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    for name, body in (("sound", "<p>fine</p>"), ("planted", PLANTED[fault])):
        page = f"<!doctype html><html lang=en><head>{head}<title>A page</title></head><body>{body}</body></html>"
        (tmp_path / f"{name}.html").write_text(page)
    with Site(tmp_path) as server:
        for name in ("sound", "planted"):
            browser.open(server.address + f"{name}.html", width=360)
            faults = [*browser.complaints(), *(["wide"] if browser.overflow() > 0 else [])]
            assert bool(faults) == (name == "planted"), faults
