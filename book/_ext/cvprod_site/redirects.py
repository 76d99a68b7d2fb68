"""Addresses that lead elsewhere: `book/redirects.txt` names them, and each becomes a page that sends readers on."""

import html
import posixpath
from pathlib import Path

from cvprod_site import status

SOURCE = Path("book/redirects.txt")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Refresh" content="0; url={to}"><title>Moved</title><meta name="robots" content="noindex"></head>
<body><p>This page has moved: <a href="{to}">{to}</a>.</p></body></html>
"""


class RedirectError(ValueError):
    """A line of the list that cannot be followed; the message says which and why."""


def read(path: Path) -> dict[str, str]:
    """Old address -> new one, both from the site's root. Raises RedirectError for a line that is none."""
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(word.endswith(".html") for word in words) or ".." in line:
            raise RedirectError(
                f"{path}, line {number}: write 'old.html new.html', from the site's root, not {line!r}."
            )
        if words[0] in found:
            raise RedirectError(f"{path}, line {number}: {words[0]} is redirected twice.")
        found[words[0]] = words[1]
    return found


def write(app, exception: Exception | None) -> None:
    """After the build: a page for each old address. One that is a page of the book, or leads nowhere, is an error."""
    path = Path(app.srcdir) / SOURCE
    if exception or app.builder.format != "html" or not path.is_file() or not status.whole(app):
        return
    out, pages = Path(app.outdir), {f"{name}.html" for name in app.env.found_docs}
    for old, new in read(path).items():
        if old in pages:
            raise RedirectError(f"{SOURCE}: {old} is a page of the book.")
        if new not in pages:
            raise RedirectError(f"{SOURCE}: {old} leads to {new}, which is no page of the book.")
        place = out / old
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(PAGE.format(to=html.escape(posixpath.relpath(new, posixpath.dirname(old) or "."))))
