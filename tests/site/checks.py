"""What must hold for a static site, as functions from a folder to a list of faults (empty: it holds)."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADING = {  # attributes that make a browser fetch something
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
FETCHING_LINKS = {"stylesheet", "icon", "shortcut", "preload", "prefetch", "modulepreload", "preconnect", "manifest"}
CSS_ADDRESS = re.compile(r"url\(\s*['\"]?(?!data:|#)([^'\")]+)|@import\s+['\"]([^'\"]+)")


@cache
def soup(path: Path) -> BeautifulSoup:
    """Parse a page once."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    """What a link to this page may name after its #."""
    tree = soup(path)
    ids = {tag["id"] for tag in tree.find_all(id=True)}
    return frozenset(ids | {tag["name"] for tag in tree.find_all("a", attrs={"name": True})})


def html_pages(site: Path) -> list[Path]:
    """Return the pages that a reader can reach, without downloads and redirect stubs."""
    found = [path for path in sorted(site.rglob("*.html")) if not {"_sources", "_static"} & set(path.parts)]
    found = [path for path in found if path.name != "404.html"]  # served at any address, so without the theme
    return [path for path in found if 'http-equiv="Refresh"' not in path.read_text(encoding="utf-8")[:600]]


def broken_links(site: Path) -> Iterator[str]:
    """Yield every internal link whose page, file or anchor does not exist."""
    site = site.resolve()
    for page in html_pages(site):
        for link in soup(page).find_all("a", href=True):
            parts = urlsplit(link["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if target.is_dir():
                target /= "index.html"
            where = f"{page.relative_to(site)}: {link['href']}"
            if not target.is_relative_to(site) or not target.is_file():
                yield f"{where} leads nowhere"
            elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors(target):
                yield f"{where} names an anchor that its page lacks"


def outside_loads(site: Path) -> Iterator[str]:
    """Yield everything that a page or style sheet would fetch from another host."""

    def outside(address: str) -> bool:
        return address.startswith(("http://", "https://", "//"))

    for page in html_pages(site):
        where = page.relative_to(site)
        for tag in soup(page).find_all(True):
            values = [tag.get(name, "") for name in LOADING.get(tag.name, ())]
            if tag.name == "link" and FETCHING_LINKS & set(tag.get("rel", [])):
                values.append(tag.get("href", ""))
            values += [a or b for a, b in CSS_ADDRESS.findall(tag.get("style", ""))]
            if tag.name == "style":
                values += [a or b for a, b in CSS_ADDRESS.findall(tag.get_text())]
            yield from (f"{where}: <{tag.name}> loads {value}" for value in values if outside(value))
    for sheet in site.rglob("*.css"):
        for a, b in CSS_ADDRESS.findall(sheet.read_text(encoding="utf-8")):
            if outside(a or b):
                yield f"{sheet.relative_to(site)} loads {a or b}"
            elif not (sheet.parent / re.split("[?#]", a or b)[0]).is_file():
                yield f"{sheet.relative_to(site)} names {a or b}, which does not exist"


def nameless_images(site: Path) -> Iterator[str]:
    """Yield images without alternative text and inline drawings without a name.

    An image inside a link or heading that has words of its own may be decorative (alt="").
    """
    for page in html_pages(site):
        where, tree = page.relative_to(site), soup(page)
        for image in tree.find_all("img"):
            around = image.find_parent(["a", "button"])
            spoken = around is not None and around.get_text(strip=True) and image.get("alt") == ""
            if not (image.get("alt") or "").strip() and not spoken:
                yield f"{where}: <img src={image.get('src', '')[:60]}> has no alt text"
        for drawing in tree.find_all("svg"):
            if drawing.get("role") != "img":
                if drawing.find_parent(attrs={"aria-hidden": "true"}) is None and drawing.get("aria-hidden") != "true":
                    yield f"{where}: an inline <svg> is neither role=img nor hidden"
                continue
            title = drawing.find("title")
            labelled = all(tree.find(id=name) for name in drawing.get("aria-labelledby", "").split())
            name = drawing.get("aria-label") or (title.get_text() if title and labelled else "")
            if len(name.split()) < 5:
                yield f"{where}: an inline <svg> is named {name!r}: not a sentence"


RAW = re.compile(r"\$[A-Za-z\\][^$\n]*\$|\*\*\w|`\w|\]\(|\{(?:ref|doc|term|numref)\}")


def raw_markup(site: Path) -> Iterator[str]:
    """Yield words of the text, not code, that were meant to be a formula, a link or emphasis and were not rendered."""
    for page in html_pages(site):
        for text in (soup(page).find("article") or soup(page)).find_all(string=RAW):
            if not text.find_parents(["pre", "code", "script", "style", "math", "svg"]):
                yield f"{page.relative_to(site)}: {' '.join(text.split())[:120]!r}"


def heading_faults(site: Path) -> Iterator[str]:
    """Yield pages without exactly one h1, and headings that skip a level."""
    for page in html_pages(site):
        article = soup(page).find("article") or soup(page)
        levels = [int(tag.name[1]) for tag in article.find_all(re.compile("^h[1-6]$"))]
        where = page.relative_to(site)
        if levels.count(1) != 1:
            yield f"{where} has {levels.count(1)} h1 headings"
        if levels and levels[0] != 1:
            yield f"{where} begins with h{levels[0]}"
        for before, after in itertools.pairwise(levels):
            if after > before + 1:
                yield f"{where}: h{after} follows h{before}"


def head_faults(site: Path) -> Iterator[str]:
    """Yield pages whose head lacks a language, title, viewport or useful description; descriptions used twice."""
    seen: Counter[str] = Counter()
    for page in html_pages(site):
        tree, where = soup(page), page.relative_to(site)
        if tree.html.get("lang") != "en":
            yield f"{where} does not say its language"
        if not tree.title or len(tree.title.get_text(strip=True)) < 5:
            yield f"{where} has no title"
        for name, count in Counter(tag.get("name") for tag in tree.find_all("meta")).items():
            if name in {"description", "viewport"} and count > 1:
                yield f"{where} has {count} meta {name}"
        found = tree.find("meta", attrs={"name": "description"})
        text = (found.get("content") or "") if found else ""
        if not 20 <= len(text) <= 200:
            yield f"{where}: meta description of {len(text)} characters"
        seen[text] += 1
        if not tree.find("meta", attrs={"name": "viewport"}):
            yield f"{where} has no viewport"
    yield from (f"description used {n} times: {text!r}" for text, n in seen.items() if n > 1)


def doubled_ids(site: Path) -> Iterator[str]:
    """Yield ids that occur more than once on a page."""
    for page in html_pages(site):
        counts = Counter(tag["id"] for tag in soup(page).find_all(id=True))
        yield from (f"{page.relative_to(site)}: id {name!r} {n} times" for name, n in counts.items() if n > 1)
