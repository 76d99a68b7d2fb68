"""Show the real source of what a chapter teaches, never a copy of it."""

import ast
import inspect
import textwrap
from pathlib import Path
from types import ModuleType

from IPython.display import Markdown, display

from cvprod.repo import ROOT, project_file, repository


def show_source(
    obj: object, *, start: str | None = None, end: str | None = None, part: str | None = None, doc: bool = False
) -> None:
    """Display the source of `obj` as a highlighted listing under a link to its file.

    Args:
        obj: a function, class or module.
        start, end: text of the first and the last line to show; the first line that contains it counts.
        part: the name of a method or nested function to show instead of the whole.
        doc: keep the docstring of `obj`; the chapter's prose usually says it already.

    Raises:
        ValueError: `obj` has no Python source, or `part`, `start` or `end` is not in it.
    """
    display(Markdown(listing(obj, start=start, end=end, part=part, doc=doc)))


def listing(
    obj: object, *, start: str | None = None, end: str | None = None, part: str | None = None, doc: bool = False
) -> str:
    """Return the Markdown that `show_source` displays: a line naming the file, then the code."""
    if part is not None:
        if not hasattr(obj, part):
            raise ValueError(f"{_name(obj)} has no part named {part!r}; it has {sorted(_own_names(obj))}")
        obj = getattr(obj, part)
    target = inspect.unwrap(obj) if callable(obj) else obj
    if isinstance(target, property):
        target = target.fget
    try:
        lines, first = inspect.getsourcelines(target)
        path = Path(inspect.getsourcefile(target) or "")
    except (OSError, TypeError) as error:
        raise ValueError(f"{_name(obj)} has no Python source to show (built in, or typed at a prompt)") from error
    numbered = list(enumerate((line.rstrip("\n") for line in lines), max(first, 1)))
    if not doc:
        skip = _docstring_lines("".join(lines))
        numbered = [item for i, item in enumerate(numbered) if i not in skip]
    numbered = _between(numbered, start, end, _name(obj))
    code = textwrap.dedent("\n".join(text for _, text in numbered)).strip("\n")
    return f"{_where(target, path, numbered[0][0], numbered[-1][0])}\n\n```python\n{code}\n```\n"


#: Languages of listings, by the suffix of their file.
_LANGUAGES = {
    ".py": "python",
    ".kt": "kotlin",
    ".kts": "kotlin",
    ".swift": "swift",
    ".sh": "bash",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".service": "ini",
    ".cfg": "text",
    ".proto": "protobuf",
}


def show_file(name: str, *, start: str | None = None, end: str | None = None) -> None:
    """Display a file of `deploy/`, or the part from the line with `start` to the next line with `end`.

    name: path below deploy/, such as "edge/raspberrypi/install.sh", or from the root where it begins with ".github/",
    "terraform/" or "cvprod/" (a file that cannot be imported; for all others there is `show_source`).
    Raises FileNotFoundError, and ValueError for a `start` or `end` that is not in it.
    """
    display(Markdown(file_listing(name, start=start, end=end)))


def file_listing(name: str, *, start: str | None = None, end: str | None = None) -> str:
    """Return the Markdown that `show_file` displays: a line naming the file, then its text."""
    place = name if name.startswith((".github/", "terraform/", "cvprod/")) else f"deploy/{name}"
    path = ROOT / place if place.startswith("cvprod/") else project_file(place)
    lines = _between(list(enumerate(path.read_text("utf-8").splitlines(), 1)), start, end, name)
    code = textwrap.dedent("\n".join(text for _, text in lines)).strip("\n")
    first, last = lines[0][0], lines[-1][0]
    where = f"[{_lines(place, first, last)}]({repository()}/blob/main/{place}#L{first}-L{last})"
    return f"{where}\n\n```{_LANGUAGES.get(path.suffix, 'text')}\n{code}\n```\n"


def _between(numbered: list[tuple[int, str]], start: str | None, end: str | None, name: str) -> list[tuple[int, str]]:
    def find(text: str, begin: int) -> int:
        for i in range(begin, len(numbered)):
            if text in numbered[i][1]:
                return i
        raise ValueError(f"the source of {name} has no line with {text!r}: it changed, so change the listing too")

    low = find(start, 0) if start is not None else 0
    high = find(end, low) if end is not None else len(numbered) - 1
    return numbered[low : high + 1]


def _docstring_lines(source: str) -> set[int]:
    """Return the 0-based indices of the docstring's lines, with the blank line that follows them."""
    tree = ast.parse(textwrap.dedent(source))
    node = tree.body[0] if len(tree.body) == 1 and _may_have_docstring(tree.body[0]) else tree
    if not node.body or ast.get_docstring(node, clean=False) is None or len(node.body) == 1:
        return set()
    first = node.body[0]
    found = set(range(first.lineno - 1, first.end_lineno))
    if not source.splitlines()[first.end_lineno].strip():
        found.add(first.end_lineno)
    return found


def _may_have_docstring(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _lines(name: str, first: int, last: int) -> str:
    return f"{name}, lines {first}–{last}" if last > first else f"{name}, line {first}"


def _where(target: object, path: Path, first: int, last: int) -> str:
    """Say which file and lines are shown, linked to the repository when the file is the book's own."""
    module = target if isinstance(target, ModuleType) else inspect.getmodule(target)
    package, _, _ = (module.__name__ if module else "").partition(".")
    parts = path.parts
    inside = "/".join(parts[len(parts) - 1 - parts[::-1].index(package) :]) if package in parts else path.name
    text = _lines(inside, first, last)
    address = repository() if package == "cvprod" else None
    return f"[{text}]({address}/blob/main/{inside}#L{first}-L{last})" if address else f"*{text}*"


def _name(obj: object) -> str:
    return getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None) or repr(obj)


def _own_names(obj: object) -> list[str]:
    return [name for name in vars(obj) if not name.startswith("__")] if hasattr(obj, "__dict__") else []
