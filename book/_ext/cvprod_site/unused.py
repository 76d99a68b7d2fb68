"""Rules of a style sheet that match nothing on the site: most of what a framework such as Bootstrap brings."""

import itertools
import re
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import tinycss2
from tinycss2.ast import Node

#: Blocks that hold rules of their own.
NESTING = {"media", "supports", "layer", "container"}
#: Larger scripts are programs, such as the demo's runtime, and set no class.
LARGEST_SCRIPT = 500_000


def names(site: Path) -> set[str]:
    """Every class that a page has, and every word of a script, any of which could be a class that it sets."""
    found = set()
    for page in site.rglob("*.html"):
        for value in re.findall(r"""\bclass=["']([^"']*)["']""", page.read_text(encoding="utf-8")):
            found.update(value.split())
    for script in site.rglob("*.js"):
        if script.stat().st_size <= LARGEST_SCRIPT:
            found.update(re.findall(r"[\w-]+", script.read_text(encoding="utf-8")))
    return found


def prune(sheet: str, used: Set[str]) -> str:
    """The sheet without selectors that ask for a class that is not in `used`, in ASCII.

    A class inside a function, such as :not(.x), says nothing of whether a selector can match, and is passed over.
    """
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return re.sub(r"[^\x00-\x7f]", lambda sign: f"\\{ord(sign[0]):x} ", "\n".join(_kept(rules, used)))


def _kept(rules: Iterable[Node], used: Set[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [tinycss2.serialize(parts).strip() for parts in _selectors(rule.prelude) if _can(parts, used)]
            if selectors:
                yield f"{','.join(selectors)}{{{tinycss2.serialize(rule.content).strip()}}}"
        elif rule.type == "at-rule" and rule.content is not None and rule.lower_at_keyword in NESTING:
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            if text := "\n".join(_kept(inner, used)):
                yield f"@{rule.at_keyword} {tinycss2.serialize(rule.prelude).strip()}{{{text}}}"
        else:  # fonts, animations; a fault is passed on, for the browser to pass over
            yield rule.serialize()


def _selectors(prelude: list[Node]) -> Iterator[list[Node]]:
    """The prelude of a rule, cut at its commas."""
    parts: list[Node] = []
    for token in prelude:
        if token == ",":
            yield parts
            parts = []
        else:
            parts.append(token)
    yield parts


def _can(selector: list[Node], used: Set[str]) -> bool:
    """Whether every class that a selector asks for is used."""
    followed = itertools.pairwise(selector)
    return all(name.value in used for dot, name in followed if dot == "." and name.type == "ident")
