"""Which cells of a notebook measure time, found by reading the code: what they run leads to a clock.

A cell that measures must carry the tag ``timed``, so that nothing runs beside it in the tests, or ``untimed``, where a
neighbour cannot spoil what it shows. `needs_tag` finds those that have to say which.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat

from cvprod.repo import ROOT

#: Where a look at the clock means that something is measured; elsewhere it is a deadline, a log line or a metric.
MEASURING = ("cvprod.measure", "cvprod.traffic", "cvprod.realtime", "cvprod.bench")
CLOCKS = frozenset({"perf_counter", "monotonic"})
#: What measures in another process, where no clock is seen.
ELSEWHERE = frozenset({"cvprod.measure.cold_start", "cvprod.measure._probe", "cvprod.traffic.http_load.measure"})
#: What is only shown is not run.
SHOWING = frozenset({"show_source", "show_file"})
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Names(ast.NodeVisitor):
    """The dotted names that code refers to, with what it has imported put in; definitions are kept for later."""

    def __init__(self, imports: dict[str, str], module: str) -> None:
        self.imports, self.module = imports, module
        self.found: set[str] = set()
        self.definitions: list[Definition] = []

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.split(".")[0]
            self.imports[alias.asname or top] = alias.name if alias.asname else top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        package = self.module.split(".")[: -node.level] if node.level else []
        source = ".".join([*package, *([node.module] if node.module else [])])
        for alias in node.names:
            self.imports[alias.asname or alias.name] = f"{source}.{alias.name}"

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted, inner = node.attr, node.value
        while isinstance(inner, ast.Attribute):
            dotted, inner = f"{inner.attr}.{dotted}", inner.value
        if isinstance(inner, ast.Name):
            self.found.add(f"{self.imports.get(inner.id, f'{self.module}.{inner.id}')}.{dotted}")
        else:
            self.visit(inner)

    def visit_Call(self, node: ast.Call) -> None:
        if not (isinstance(node.func, ast.Attribute) and node.func.attr in SHOWING):
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.found.add(self.imports.get(node.id, f"{self.module}.{node.id}"))

    def _define(self, node: Definition) -> None:
        self.definitions.append(node)
        for outside in (*node.decorator_list, *getattr(node, "bases", [])):
            self.visit(outside)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _define


def _names(nodes: Iterable[ast.AST], imports: dict[str, str], module: str) -> _Names:
    visitor = _Names(imports, module)
    for node in nodes:
        visitor.visit(node)
    return visitor


def _inside(node: Definition, imports: dict[str, str], module: str) -> set[str]:
    """All names in a definition's body, those of definitions in it too."""
    names, todo = set(), [node]
    own = dict(imports)
    while todo:
        visitor = _names(todo.pop().body, own, module)
        names |= visitor.found
        todo += visitor.definitions
    return names


@functools.cache
def measuring(root: Path = ROOT) -> frozenset[str]:
    """Dotted names of the package's functions and classes that measure time, directly or by what they use."""
    uses: dict[str, set[str]] = {}
    for path in sorted((root / "cvprod").rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        imports: dict[str, str] = {}
        top = _names(ast.parse(path.read_text()).body, imports, module if path.name != "__init__.py" else f"{module}.x")
        for node in top.definitions:
            uses[f"{module}.{node.name}"] = _inside(node, imports, module)
        if path.name == "__init__.py":  # names that a package passes on
            uses |= {f"{module}.{name}": {target} for name, target in imports.items()}
    found = {
        name
        for name, used in uses.items()
        if name in ELSEWHERE or (name.startswith(MEASURING) and any(one.rpartition(".")[2] in CLOCKS for one in used))
    }
    while more := {name for name, used in uses.items() if name not in found and used & found}:
        found |= more
    return frozenset(found)


def _source(cell: nbformat.NotebookNode) -> str:
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE)


def measured_by(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, list[str]]]:
    """Every code cell, and the names by which it measures time when it runs.

    A cell that only defines such a function does not; one that calls or passes it on does.
    """
    known, imports = set(measuring()), {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        ran = _names(ast.parse(_source(cell)).body, imports, "notebook")
        for node in ran.definitions:
            name = f"notebook.{node.name}"
            used = _inside(node, imports, "notebook")
            measures = used & known or any(one.rpartition(".")[2] in CLOCKS for one in used)
            (known.add if measures else known.discard)(name)
        clocks = {name for name in ran.found if name.rpartition(".")[2] in CLOCKS}
        yield cell, sorted(name.removeprefix("notebook.") for name in ran.found & known | clocks)
