"""The whole book as one PDF: ``python -m cvprod.book.pdf``, after ``make book``.

The built pages are put one after the other into one document, in the order of the contents, with their links turned
into links within it; a headless Chromium prints it. Folded parts are open, long lines of code are wrapped, and the
theme is the light one. Needs Chromium (or Chrome) on the PATH, and nothing from the network.
"""

from __future__ import annotations

import argparse
import html
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from cvprod.repo import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STYLE = """
@page { size: A4; margin: 18mm 15mm; }
html, body { height: auto !important; overflow: visible !important; background: #fff; }
body { font-size: 10.5pt; }
section.cv-page { break-before: page; }
section.cv-page:first-of-type { break-before: auto; }
article.bd-article { overflow: visible; padding: 0; }
article.bd-article section { overflow: visible; }
h1, h2, h3, h4 { break-after: avoid; }
.cv-figure, figure, form.cv-predict, tr { break-inside: avoid; }
.cv-figure, .cv-table, div.highlight, div.cell_output, .output, table.dataframe { overflow: visible !important; }
.cv-figure svg { min-width: 0 !important; max-width: 100% !important; }
.cv-table { max-height: none !important; }
.cv-table :is(th, td) { white-space: normal !important; min-width: 0 !important; overflow-wrap: anywhere; }
.cv-table table, table { font-size: 8.5pt; max-width: 100%; }
div.highlight pre { white-space: pre-wrap !important; overflow-wrap: anywhere; font-size: 8pt; }
*, ::before, ::after { animation: none !important; transition: none !important; }
details > summary { list-style: none; }
details.hide > summary { display: none !important; }
a.headerlink, a.cv-report, button.copybtn, .cv-buttons, .cv-live, .cv-calculator, form.cv-predict input,
p.cv-predict-said, nav, script { display: none !important; }
"""
#: Attributes that name an id of the same page.
NAMING = re.compile(r'\b(id|name|for|aria-labelledby|aria-describedby|aria-controls)="([^"]+)"')
LINKING = re.compile(r'\b(href|xlink:href|src)="([^"]*)"')
PAINTING = re.compile(r"url\(\s*(&quot;|['\"]?)#([^)'\"&]+)\1\s*\)")
ARTICLE = re.compile(r'<article class="bd-article">(.*?)</article>', re.S)


class PdfError(RuntimeError):
    """There is nothing to print, or nothing to print it with; the message says what to do."""


def browser() -> str:
    """The path of a Chromium. Raises PdfError where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise PdfError("no Chromium on the PATH: install one (Debian and Ubuntu: apt-get install chromium)")
    return found


def contents(root: Path = ROOT) -> list[str]:
    """The book's pages in reading order, without their endings."""
    listed = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))

    def names(entries: Sequence[dict]) -> list[str]:
        return [name for entry in entries for name in (entry["file"], *names(entry.get("sections", ())))]

    return [listed["root"], *names([entry for part in listed.get("parts", ()) for entry in part["chapters"]])]


def whole(site: Path, pages: Sequence[str]) -> str:
    """One HTML document of the pages of a built site. Raises PdfError for one that is not there."""
    # The first page of the book is the site's own first page.
    places = {name: "index.html" if name == pages[0] else f"{name}.html" for name in pages}
    slugs = {place: f"p{number}" for number, place in enumerate(places.values())}
    parts = [_part(site, place, slugs) for place in places.values()]
    sheet = site / "_static/styles/book.css"
    if not sheet.is_file():
        raise PdfError(f"{sheet} is missing: run 'make book' first")
    style = re.sub(r'url\("?(\.\./[^")]+)"?\)', lambda m: f'url("{(sheet.parent / m[1]).resolve().as_uri()}")',
                   sheet.read_text(encoding="utf-8"))  # fmt: skip
    return (
        '<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>Computer Vision in Production</title><style>{style}</style><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _part(site: Path, place: str, slugs: dict[str, str]) -> str:
    path = site / place
    found = ARTICLE.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    if found is None:
        raise PdfError(f"{path} is missing, or is no page of the book: run 'make book' first")
    slug, folder = slugs[place], posixpath.dirname(place)

    def named(match: re.Match[str]) -> str:
        inside = " ".join(f"{slug}-{name}" for name in match[2].split())
        return f'{match[1]}="{inside}"'

    def linked(match: re.Match[str]) -> str:
        address = urlsplit(html.unescape(match[2]))
        if address.scheme or address.netloc:
            return match[0]
        target = posixpath.normpath(posixpath.join(folder, unquote(address.path))) if address.path else place
        if match[1] == "src" or (match[1] == "xlink:href" and address.path):
            return f'{match[1]}="{(site / target).resolve().as_uri()}"'
        if target not in slugs:  # a file of the site, which a PDF does not hold
            return ""
        inside = f"{slugs[target]}-{address.fragment}" if address.fragment else slugs[target]
        return f'{match[1]}="#{html.escape(inside)}"'

    body = re.sub(r"<script\b.*?</script>", "", found[1], flags=re.S)
    body = LINKING.sub(linked, NAMING.sub(named, body))
    body = PAINTING.sub(lambda match: f"url({match[1]}#{slug}-{match[2]}{match[1]})", body)
    body = re.sub(r"<details\b(?![^>]*\bopen\b)", "<details open", body)
    return f'<section class="cv-page" id="{slug}"><article class="bd-article">{body}</article></section>'


def make(target: Path, site: Path = ROOT / "_build/html", pages: Sequence[str] | None = None) -> None:
    """Print a built site to a PDF. Raises PdfError where it cannot."""
    program = browser()
    document = whole(site, contents() if pages is None else pages)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cvprod-pdf-") as folder:
        source, made = Path(folder, "book.html"), Path(folder, "book.pdf")
        source.write_text(document, encoding="utf-8")
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder}/profile", "--allow-file-access-from-files", "--no-pdf-header-footer",
            "--generate-pdf-document-outline", f"--print-to-pdf={made}", source.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not made.is_file() or not made.read_bytes().startswith(b"%PDF"):
            raise PdfError(f"Chromium made no PDF (status {done.returncode}): {done.stderr.strip()[-300:]}")
        # Another disk cannot be renamed to.
        half = target.with_name(f".{target.name}.part")
        shutil.copyfile(made, half)
        half.replace(target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.book.pdf", description=__doc__.split("\n")[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build/html", help="the built site (default: _build/html)")
    parser.add_argument("--out", type=Path, default=ROOT / "_build/computer-vision-in-production.pdf")
    options = parser.parse_args(arguments)
    try:
        make(options.out, options.site)
    except PdfError as error:
        print(f"No PDF: {error}.", file=sys.stderr)
        return 1
    print(f"The book as a PDF: {options.out} ({options.out.stat().st_size / 1e6:.0f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
