"""Which answers are more alike than chance explains, whatever their names, comments and spaces.

Each answer becomes a set of fragments, runs of neighbouring nodes of its syntax tree with the local names replaced by
their order. What the exercise gives out and what a good part of the class wrote says nothing; of what is left, a pair
shares much or little. The idea is that of MOSS (Schleimer, Wilkerson and Aiken, "Winnowing", SIGMOD 2003), without its
sampling. A likeness is a reason to look, never a verdict.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

PUBLISHED = "(the published solution)"
LENGTH = 8  # nodes of a fragment
COMMON = 0.2  # share of the class from which a fragment says nothing
LEAST = 25  # fragments that a pair must have in common to be named
ALIKE = 0.7  # and their share of the smaller answer

Fragments = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Pair:
    """Two students' answers: the share of the smaller one's rare fragments that both have, and how many these are."""

    first: str
    second: str
    share: float
    fragments: int


def fragments(*sources: str) -> Fragments:
    """The fragments of some cells; of one that is no Python, none."""
    found: set[tuple[str, ...]] = set()
    for source in sources:
        nodes = normalised(source)
        found.update(nodes[i : i + LENGTH] for i in range(len(nodes) - LENGTH + 1))
    return frozenset(found)


def normalised(source: str) -> tuple[str, ...]:
    """The nodes of a cell in their order, without docstrings; () for what is no Python."""
    try:
        tree = ast.parse(source)
        return tuple(_walk(tree, _local_names(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()


def _local_names(tree: ast.AST) -> dict[str, str]:
    """Names that the code itself binds, by order of appearance; those of the first level's functions are given."""
    outer = [node for node in ast.iter_child_nodes(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    asked = {node.name for node in outer} | {one.arg for node in outer for one in _arguments(node)}
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        bound = ""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound = node.id
        elif isinstance(node, ast.arg):
            bound = node.arg
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)):
            bound = node.name or ""
        if bound and bound not in asked:
            names.setdefault(bound, f"local {len(names)}")
    return names


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    own = function.args
    return [*own.posonlyargs, *own.args, *own.kwonlyargs, *filter(None, (own.vararg, own.kwarg))]


def _walk(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = body[1:]
    said = type(node).__name__
    if isinstance(node, ast.Name):
        said += f" {names.get(node.id, node.id)}"
    elif isinstance(node, ast.Constant):
        said += f" {node.value!r}"
    elif isinstance(node, ast.Attribute):
        said += f" {node.attr}"
    elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        said += f" {names.get(node.name, node.name)}"
    if not isinstance(node, ast.expr_context):
        yield said
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, names)


def pairs(answers: dict[str, Fragments], given: Fragments, published: Fragments) -> list[Pair]:
    """The pairs of students, or of one and the published solution, that are alike; the most alike first."""
    held = Counter(fragment for own in answers.values() for fragment in own)
    many = max(2, COMMON * len(answers))
    usual = given | {fragment for fragment, count in held.items() if count > many}
    rare = {student: own - usual for student, own in answers.items()}
    found = []
    for (first, a), (second, b) in combinations([*rare.items(), (PUBLISHED, published - usual)], 2):
        both = len(a & b)
        if both >= LEAST and both >= ALIKE * min(len(a), len(b)):
            found.append(Pair(first, second, both / min(len(a), len(b)), both))
    return sorted(found, key=lambda pair: (-pair.share, -pair.fragments, pair.first, pair.second))
