"""What search engines, previews and lost readers need: addresses, a site map, robots.txt and a page for "not found".

The site's address follows from the repository's in pyproject.toml (GitHub Pages); CVPROD_SITE_URL names another one.
"""

import html
import os
import re
from pathlib import Path

from cvprod.repo import repository

LOST = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Not found: {title}</title><meta name="robots" content="noindex">
<meta name="description" content="There is no page at this address. The first page of the book lists all chapters.">
<style>:root {{ color-scheme: light dark; font: 18px/1.6 system-ui }}
body {{ max-width: 34rem; margin: 15vh auto; padding: 1rem }}
a {{ color: light-dark(#0a5cad, #7ab8ff) }}</style></head>
<body><main><article><h1>There is no page here</h1>
<p>It may have moved. <a href="{base}">The first page</a> lists every chapter, and its search knows every heading.</p>
</article></main></body></html>
"""
UNLISTED = {"search.html", "genindex.html", "404.html", "book/intro.html"}


def base() -> str:
    """The address of the published site, with a slash at its end."""
    given = os.environ.get("CVPROD_SITE_URL")
    if given:
        return given.rstrip("/") + "/"
    owner, project = repository().removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{project}/"


def introduce(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Give the page its address, and what a preview of it shows; `pages.describe` has described it before."""
    found = re.search(r'<meta (?:name="description" content|content)="([^"]*)"', context.get("metatags", ""))
    place = "" if pagename == "book/intro" else f"{pagename}.html"
    title = re.sub(r"<[^>]*>", "", context.get("title") or app.config.html_title or "")
    tags = {
        "og:type": "article" if pagename.startswith("notebooks/") else "website",
        "og:site_name": app.config.html_title,
        "og:title": title,
        "og:description": html.unescape(found[1]) if found else "",
        "og:url": base() + place,
    }
    metas = "".join(f'<meta property="{k}" content="{html.escape(v)}" />' for k, v in tags.items() if v)
    canonical = f'<link rel="canonical" href="{html.escape(base() + place)}" />'
    context["metatags"] = context.get("metatags", "") + metas + canonical


def write(app, exception: Exception | None) -> None:
    """After the build: sitemap.xml, robots.txt and 404.html."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [path.relative_to(out).as_posix() for path in sorted(out.rglob("*.html"))]
    pages = [page for page in pages if not page.startswith("_") and page not in UNLISTED]
    pages = [page for page in pages if 'http-equiv="Refresh"' not in (out / page).read_text(encoding="utf-8")[:300]]
    places = ["" if page == "index.html" else page for page in pages]
    rows = "".join(f"<url><loc>{html.escape(base() + place)}</loc></url>\n" for place in places)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    (out / "sitemap.xml").write_text(f"{head}{rows}</urlset>\n")
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {base()}sitemap.xml\n")
    (out / "404.html").write_text(LOST.format(base=html.escape(base()), title=html.escape(app.config.html_title)))
