"""The rules that every committed notebook keeps, as one check and one normaliser.

``python -m cvprod.book.notebooks check`` lists what breaks a rule and exits 1; ``normalise`` rewrites what can be
rewritten without a decision (outputs, counts, metadata, missing tags of cells that measure time). The rules:

* outputs are committed only for cells that this project's CI cannot run, and those say where they were recorded;
* a cell that needs hardware carries the hardware's tag and both skip tags, and no other cell is skipped
  (myst-nb obeys ``skip-execution``, nbval only ``nbval-skip``);
* the bootstrap cell is the same everywhere, but for the extra of `cvprod` that it names: what the notebook needs;
* a cell that measures time says so by the tag ``timed``, or says ``untimed``;
* Markdown lines are at most 100 characters (outside tables and links).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat

from cvprod.files import write_atomic
from cvprod.repo import ROOT

HARDWARE_TAGS = frozenset({"gpu", "tensorrt", "jetson", "coral", "macos", "android", "docker", "cloud"})
SKIP_TAGS = frozenset({"skip-execution", "nbval-skip"})
#: Of a cell that measures time, so that nothing may run beside it; of one that looks at the clock and may have company.
TIMED, UNTIMED = "timed", "untimed"
#: The first code cell of every notebook, and in it the extras that are installed in Colab.
BOOTSTRAP = (Path(__file__).parent / "bootstrap_cell.py.txt").read_text().strip()
BOOTSTRAP_BEGINS = "# Does nothing where the book"
EXTRA = re.compile(r'^EXTRA = "([\w,-]+)"$', re.MULTILINE)
MARKDOWN_WIDTH = 100
#: What a committed notebook keeps of its file-level metadata.
KEPT_METADATA = ("kernelspec", "language_info", "mystnb")
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def committed(root: Path = ROOT) -> list[Path]:
    """Return the chapter notebooks below ``root/notebooks``, in reading order."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def find(number: str, root: Path = ROOT) -> Path:
    """The notebook of a chapter's number, "5" or "05". Raises ValueError, with the numbers there are, for another."""
    chapters = {path.name.partition("_")[0]: path for path in committed(root) if path.name[:2].isdigit()}
    found = chapters.get(number.zfill(2))
    if found is None:
        raise ValueError(f"There is no chapter {number!r}; use one of {', '.join(chapters)}.")
    return found


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook as format 4; raises ValueError naming the file if it is not one."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise ValueError(f"{path}: not a readable notebook ({error}); restore it with git checkout") from error


def tags(cell: nbformat.NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def hardware(cell: nbformat.NotebookNode) -> set[str]:
    """Return the hardware that a cell needs, as tags; empty for a cell that any CPU runs."""
    return tags(cell) & HARDWARE_TAGS


def measures_time(cell: nbformat.NotebookNode) -> bool:
    """Whether anything that runs beside the cell would spoil what it shows."""
    return TIMED in tags(cell)


def lacking_timed(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, list[str]]]:
    """Cells that measure time (`cvprod.book.timing`) and do not say so by a tag, with the names that do it."""
    from cvprod.book.timing import measured_by

    for cell, names in measured_by(notebook):
        if names and not tags(cell) & {TIMED, UNTIMED} and not hardware(cell):
            yield cell, names


def tag_timed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Tag, in place, every cell `timed` that measures and is not tagged yet; the author may say `untimed` instead."""
    for cell, _ in lacking_timed(notebook):
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), TIMED]
    return notebook


def bootstrap(extra: str) -> str:
    """The bootstrap cell that installs these extras of the package, such as "models,serving"."""
    return EXTRA.sub(f'EXTRA = "{extra}"', BOOTSTRAP)


def bootstrap_extra(cell: nbformat.NotebookNode) -> str | None:
    """The extras that a bootstrap cell installs; None for another cell, and for a bootstrap cell of another text."""
    found = EXTRA.search(cell.source)
    return found[1] if found and cell.source.strip() == bootstrap(found[1]) else None


def _outputs_allowed(cell: nbformat.NotebookNode) -> bool:
    return bool(hardware(cell)) and "recorded" in cell.metadata


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Strip, in place, what does not belong in git; return the notebook.

    Outputs (except recorded hardware cells'), execution counts, widget state and editor metadata go; tags and
    nbgrader metadata stay. A bootstrap cell of an older text gets today's, and keeps its extras.
    """
    kept = {key: notebook.metadata[key] for key in KEPT_METADATA if key in notebook.metadata}
    kept["kernelspec"] = KERNELSPEC
    kept["language_info"] = {"name": "python"}
    notebook.metadata = nbformat.from_dict(kept)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    first = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if first is not None and first.source.lstrip().startswith(BOOTSTRAP_BEGINS):
        first.source = bootstrap((EXTRA.search(first.source) or EXTRA.search(BOOTSTRAP))[1])
    for index, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{index:03d}")
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in ("tags", "recorded", "nbgrader", "mystnb") if key in cell.metadata}
        )
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        if not _outputs_allowed(cell):
            cell.outputs = []
            cell.metadata.pop("recorded", None)
        for output in cell.outputs:
            output.pop("execution_count", None)
            if output.output_type == "execute_result":
                output.execution_count = None
    return notebook


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a normalised notebook in one step, so that an interrupt leaves the old file whole."""
    write_atomic(path, (nbformat.writes(normalise(notebook)).rstrip("\n") + "\n").encode())


def _cell_faults(cell: nbformat.NotebookNode) -> Iterator[str]:
    needs, skips = hardware(cell), tags(cell) & SKIP_TAGS
    if needs and skips != SKIP_TAGS:
        yield f"needs {', '.join(sorted(needs))} but lacks the tag {', '.join(sorted(SKIP_TAGS - skips))}"
    if skips and not needs:
        yield f"is skipped ({', '.join(sorted(skips))}) but names no hardware it needs"
    if cell.cell_type == "code":
        if cell.outputs and not _outputs_allowed(cell):
            yield "has committed outputs"
        if cell.execution_count is not None:
            yield "has an execution count"
        if "/home/" in str(cell.outputs) or "/Users/" in str(cell.outputs):
            yield "has outputs that leak a home folder"
    elif cell.cell_type == "markdown":
        for line in cell.source.splitlines():
            prose = re.sub(r"\]\([^)]*\)|\{[^}]*\}`[^`]*`", "", line)
            if len(prose) > MARKDOWN_WIDTH and not line.lstrip().startswith("|"):
                yield f"has a line of {len(prose)} characters (at most {MARKDOWN_WIDTH}): {line[:50]}..."


def faults(path: Path) -> list[str]:
    """Return one sentence for each rule that the notebook at ``path`` breaks."""
    notebook, found = read(path), []
    for number, cell in enumerate(notebook.cells, 1):
        found += [f"{path.name}: cell {number} ({cell.id}) {fault}" for fault in _cell_faults(cell)]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not code or bootstrap_extra(code[0]) is None:
        found.append(f"{path.name}: its first code cell is not the bootstrap cell (cvprod/book/bootstrap_cell.py.txt)")
    try:
        for cell, names in lacking_timed(notebook):
            found.append(f"{path.name}: cell {cell.id} measures time ({', '.join(names)}): tag it timed or untimed")
    except SyntaxError as error:
        found.append(f"{path.name}: a cell is no Python ({error})")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append(f"{path.name}: its kernel is not python3 (python -m cvprod.book.notebooks normalise)")
    return found


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.book.notebooks", description="Notebook hygiene.")
    parser.add_argument("action", choices=("check", "normalise", "find"))
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all in notebooks/); to find: a number")
    options = parser.parse_args(arguments)
    paths = options.paths or committed()
    try:
        if options.action == "find":
            print(*(find(str(number)).relative_to(ROOT) for number in options.paths))
            return 0
        if options.action == "normalise":
            for path in paths:
                write(tag_timed(read(path)), path)
            return 0
        found = [fault for path in paths for fault in faults(path)]
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(found) or f"{len(paths)} notebooks keep the rules")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
