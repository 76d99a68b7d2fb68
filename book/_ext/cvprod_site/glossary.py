"""Links from a chapter's first use of a term to the glossary, and from the glossary back to those places."""

import html
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

from cvprod_site.numbers import CHAPTER

PAGE = "book/glossary"
#: Sections that list rather than tell.
SILENT = {"references", "exercises and checklist"}
_ENTRY = re.compile(r"(<dt[^>]*>.*?</dt>\s*<dd>)(.*?)(</dd>)", re.S)


def terms(path: Path) -> list[str]:
    """The glossary's terms, longest first. Those with a bracket are left out: the bare word has other meanings."""
    body = re.search(r":::\{glossary\}\n(.*?)\n:::", path.read_text(encoding="utf-8"), re.S)[1]
    found = [line for line in body.splitlines() if line and not line.startswith(" ")]
    return sorted((term for term in found if not re.search(r"[(,]", term)), key=len, reverse=True)


def pattern(term: str) -> re.Pattern[str]:
    """What counts as a use of a term: itself in either case of its first letter, over a line's end, or its plural."""
    either = term[0].isalpha() and not term[:2].isupper()
    first = f"[{term[0].upper()}{term[0].lower()}]" if either else re.escape(term[0])
    rest = r"\s+".join(re.escape(part) for part in term[1:].split())
    return re.compile(rf"(?<![\w/-]){first}{rest}s?(?![\w/-])")


def link(app, doctree: nodes.document) -> None:
    """Link the first use of each term in a chapter's prose; remember in which section it stands."""
    docname = app.env.docname
    path = Path(app.srcdir) / f"{PAGE}.md"
    if not CHAPTER.match(docname) or not path.is_file():
        return
    app.env.note_dependency(str(path))
    places = _all(app.env)[docname] = {}
    patterns = [(term, pattern(term)) for term in terms(path)]
    for text in list(doctree.findall(nodes.Text)):
        if not _prose(text):
            continue
        chosen: list[tuple[re.Match[str], str]] = []
        for term, wanted in patterns:  # the longest first: "dynamic batching" is not a use of "batching"
            used = None if term in places else wanted.search(text)
            if used and all(used.end() <= other.start() or other.end() <= used.start() for other, _ in chosen):
                chosen.append((used, term))
                places[term] = _section(text)
        if chosen:
            _put(text, sorted(chosen, key=lambda use: use[0].start()), docname)


def _all(env) -> dict[str, dict[str, str]]:
    if not hasattr(env, "cvprod_terms"):
        env.cvprod_terms = {}
    return env.cvprod_terms


NO_PROSE = (nodes.reference, addnodes.pending_xref, nodes.literal, nodes.title, nodes.raw, nodes.table)


def _prose(text: nodes.Text) -> bool:
    above, inside = text.parent, False
    while above is not None:
        if isinstance(above, NO_PROSE):
            return False
        if isinstance(above, nodes.section) and above[0].astext().casefold() in SILENT:
            return False
        inside |= isinstance(above, nodes.paragraph)
        above = above.parent
    return inside


def _section(text: nodes.Text) -> str:
    above = text.parent
    while above is not None and not (isinstance(above, nodes.section) and above["ids"]):
        above = above.parent
    return above["ids"][0] if above is not None else ""


def _put(text: nodes.Text, uses: list[tuple[re.Match[str], str]], docname: str) -> None:
    words, done = str(text), 0
    pieces: list[nodes.Node] = []
    for used, term in uses:
        cross = addnodes.pending_xref(
            "", nodes.inline("", used[0], classes=["cv-term"]), refdomain="std", reftype="term", reftarget=term,
            refexplicit=True, refwarn=True, refdoc=docname,
        )  # fmt: skip
        pieces += [nodes.Text(words[done : used.start()]), cross]
        done = used.end()
    pieces.append(nodes.Text(words[done:]))
    parent = text.parent
    place = next(place for place, child in enumerate(parent) if child is text)
    parent[place : place + 1] = [piece for piece in pieces if not isinstance(piece, nodes.Text) or str(piece)]


def forget(app, env, docname: str) -> None:
    """A page that is read again, or is gone, has no first uses any more."""
    _all(env).pop(docname, None)


def merge(app, env, docnames, other) -> None:
    """Take over what another reading process has found."""
    _all(env).update({name: places for name, places in _all(other).items() if name in docnames})


def back(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Say under each term of the glossary where chapters use it first."""
    if pagename != PAGE or "body" not in context:
        return
    uses: dict[str, list[str]] = {}
    for docname, places in sorted(_all(app.env).items()):
        for term, anchor in places.items():
            number = int(CHAPTER.match(docname)[1])
            uses.setdefault(term, []).append(f'<a href="../{docname}.html#{html.escape(anchor)}">{number}</a>')

    def told(entry: re.Match[str]) -> str:
        term = " ".join(
            html.unescape(re.sub(r"<a class=\"headerlink\".*?</a>|<[^>]*>", "", entry[1], flags=re.S)).split()
        )
        found = uses.get(term)
        if not found:
            return entry[0]
        word = "chapter" if len(found) == 1 else "chapters"
        return f'{entry[1]}{entry[2]}<p class="cv-uses">First use in {word} {", ".join(found)}.</p>{entry[3]}'

    context["body"] = _ENTRY.sub(told, context["body"])
