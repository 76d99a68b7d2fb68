"""The pages around the chapters: proofs that exist, reviews that are fresh, terms in order."""

import datetime
import functools
import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

from cvprod.repo import ROOT

CHECKLIST = (ROOT / "book/checklist.md").read_text(encoding="utf-8")
ITEMS = re.findall(r"^\((check-[a-z0-9-]+)\)=\n- \[ \] (.*?)(?=\n\n|\Z)", CHECKLIST, re.S | re.M)
REVIEW_MONTHS = 12
LINE = 100


def _targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


@functools.cache
def _anchors(path: Path) -> frozenset[str]:
    """The anchors that the headings of a page get."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    plain = (re.sub(r"[^\w\- ]", "", line.strip().lower()) for line in re.findall(r"^#+ (.+)$", text, re.M))
    return frozenset(line.replace(" ", "-") for line in plain) | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


def _lacks(module: str, words: list[str]) -> str | None:
    """The first subcommand or option of a command line that the module's package does not know, or None."""
    spec = importlib.util.find_spec(module)
    place = Path(spec.origin)
    files = list(place.parent.rglob("*.py")) if spec.submodule_search_locations else [place]
    source, modules = "\n".join(path.read_text(encoding="utf-8") for path in files), {path.stem for path in files}
    known = [word for word in words if word.startswith("--") or re.fullmatch("[a-z][a-z0-9-]*", word)]
    return next((word for word in known if f'"{word}"' not in source and word not in modules), None)


def unproven(text: str) -> str | None:
    """Return what is wrong with the proofs that an item names, or None."""
    _, _, proof = text.partition("Proof:")
    if not proof.strip():
        return "names no proof"
    for link, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", proof):
        page = (ROOT / "book" / link).resolve()
        if not page.exists():
            return f"links to {link}, which does not exist"
        if anchor and anchor not in _anchors(page):
            return f"links to #{anchor}, which {link} lacks"
    for code in re.findall(r"`([^`]+)`", proof):
        words = " ".join(code.split())
        if words.startswith("make "):
            if words.split()[1] not in _targets():
                return f"names {words}, which the Makefile lacks"
        elif module := re.search(r"-m ([\w.]+)", words):
            if importlib.util.find_spec(module[1]) is None:
                return f"names the module {module[1]}, which does not exist"
            if lacking := _lacks(module[1], words[module.end() :].split()):
                return f"names {words}, but nothing there knows {lacking}"
        elif "/" in words or words.endswith(".txt"):
            if not (ROOT / words).exists():
                return f"names {words}, which does not exist"
        elif words.startswith("cvprod."):
            module, _, name = words.rpartition(".")
            if not hasattr(importlib.import_module(module), name):
                return f"names {words}, which does not exist"
    return None


def test_checklist_is_there_and_every_item_has_an_anchor():
    assert len(ITEMS) >= 15
    assert len(ITEMS) == CHECKLIST.count("- [ ]")
    assert len({name for name, _ in ITEMS}) == len(ITEMS)


@pytest.mark.parametrize(("name", "text"), ITEMS, ids=[name for name, _ in ITEMS])
def test_checklist_item_names_a_proof_that_exists(name, text):
    assert unproven(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "**Claim.** It holds.",
        "**Claim.** Proof: `tests/nowhere`.",
        "**Claim.** Proof: [x](../notebooks/99_x.ipynb#y).",
        "**Claim.** Proof: [x](../notebooks/01_production_readiness.ipynb#nothing).",
        "**Claim.** Proof: `make nothing`.",
        "**Claim.** Proof: `python -m cvprod.costs nothing`.",
        "**Claim.** Proof: `python -m cvprod.costs refresh --nothing`.",
        "**Claim.** Proof: `python -m cvprod.nothing`.",
        "**Claim.** Proof: `cvprod.measure.nothing`.",
    ],
)
def test_an_unproven_item_is_found(text):
    assert unproven(text)


def _rows():
    text = (ROOT / "book/superseded.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: re.sub(r"\W+", "-", row[0])[:40])
def test_superseded_row_was_reviewed_lately_and_names_its_source(row):
    old, new, since, source, reviewed = row
    assert old and new and since
    assert re.search(r"\]\(https://[^)]+\)", source)
    date, today = datetime.date.fromisoformat(reviewed), datetime.date.today()
    assert date <= today, "reviewed in the future"
    age = (today.year - date.year) * 12 + today.month - date.month
    assert age <= REVIEW_MONTHS, f"reviewed {age} months ago: check the source again and set the date"


def test_glossary_is_in_order_and_explains_each_term_once():
    text = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
    body = re.search(r":::\{glossary\}\n(.*?)\n:::", text, re.S)[1]
    terms = [line for line in body.splitlines() if line and not line.startswith(" ")]
    folded = [term.casefold() for term in terms]
    assert folded == sorted(folded) and len(set(folded)) == len(folded) >= 20


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.name)
def test_lines_of_prose_are_short_and_nothing_is_promised(path):
    text = path.read_text(encoding="utf-8")
    _, _, body = text.partition("\n---\n")
    long = [
        line for line in body.splitlines() if not line.startswith("|") and len(re.sub(r"\]\([^)]*\)", "", line)) > LINE
    ]
    assert not long
    assert not re.search(r"coming soon|work in progress|\bTODO\b|placeholder", text, re.I)
    assert re.search(r"^myst:\n  html_meta:\n    description: .{20,200}$", text, re.M)
