"""What makes a long page pleasant: its times under the title, long outputs folded, a way to report each section."""

import html
import json
import math
import re
from pathlib import Path
from urllib.parse import urlencode

from cvprod.repo import repository
from cvprod_site.numbers import CHAPTER

WORDS_A_MINUTE, LINES_A_MINUTE = 220, 20
#: Lines of an output, or rows of a table, from which it is folded.
LONG = 30
_OUTPUT = re.compile(
    r'<div class="output (?:stream|text_plain)[^"]*">\s*<div class="highlight"><pre[^>]*>(.*?)</pre>\s*</div>\s*</div>',
    re.S,
)
_TABLE = re.compile(r'<div class="cv-table" [^>]*>.*?</table></div>', re.S)
_HEADING = re.compile(
    r'(<h[23]>)((?:(?!</h[23]>).)*?)(<a class="headerlink" href="#([^"]*)"[^>]*>.*?</a>)(</h[23]>)',
    re.S,
)


def minutes(path: Path) -> int:
    """Minutes to read a notebook: its words, and its lines of code, which take longer."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    words = sum(len("".join(cell["source"]).split()) for cell in cells if cell["cell_type"] == "markdown")
    shown = [cell for cell in cells if cell["cell_type"] == "code" and "hide-input" not in _tags(cell)]
    lines = sum(bool(line.strip()) for cell in shown for line in "".join(cell["source"]).splitlines())
    return math.ceil(words / WORDS_A_MINUTE + lines / LINES_A_MINUTE)


def _tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def run_time(env, docname: str) -> float | None:
    """Seconds that the page's cells took in this build; None where they were not run."""
    data = getattr(env, "nb_metadata", {}).get(docname, {}).get("exec_data") or {}
    return data.get("runtime")


def times(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Say under a chapter's title how long it takes to read, and how long its cells took in this build."""
    if not CHAPTER.match(pagename) or "body" not in context:
        return
    seconds = run_time(app.env, pagename)
    ran = f"its cells ran in {seconds:.0f} s for this page" if seconds else "its cells were not run for this page"
    read = minutes(Path(app.env.doc2path(pagename)))
    said = f'<p class="cv-times">About {read} minutes to read; {ran}.</p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>{said}", 1)


def finish(article: str, pagename: str) -> str:
    """A chapter's article with long outputs folded and a link at each section to report it."""
    if not CHAPTER.match(pagename):
        return article
    article = _OUTPUT.sub(_folded_output, article)
    article = _TABLE.sub(_folded_table, article)
    return _HEADING.sub(lambda heading: _reported(heading, pagename), article)


def _folded_output(found: re.Match[str]) -> str:
    lines = found[1].rstrip().count("\n") + 1
    return _fold(found[0], f"Output of {lines} lines") if lines > LONG else found[0]


def _folded_table(found: re.Match[str]) -> str:
    rows = found[0].count("<tr>") - 1
    caption = re.search(r"<caption[^>]*>(.*?)</caption>", found[0], re.S)
    return _fold(found[0], f"{caption[1] if caption else 'Table'} ({rows} rows)") if rows > LONG else found[0]


def _fold(markup: str, words: str) -> str:
    return f'<details class="cv-long"><summary>{words}</summary>{markup}</details>'


def _reported(heading: re.Match[str], pagename: str) -> str:
    opened, text, link, anchor, closed = heading.groups()
    words = html.unescape(re.sub(r"<[^>]*>", "", text)).strip()
    asked = urlencode({
        "title": f"{pagename.rpartition('/')[2]}: {words}",
        "body": f"Page: {pagename}.html#{anchor}\n\nWhat is wrong, and what should it say?\n",
    })  # fmt: skip
    label = html.escape(f"Report this section: {words}")
    report = (
        f'<a class="cv-report" href="{repository()}/issues/new?{html.escape(asked)}" aria-label="{label}">Report</a>'
    )
    return f"{opened}{text}{link}{report}{closed}"
