"""Claims about time, throughput and memory: stated with their numbers, measured again, and true to the page.

A fact of computation (parity, accuracy, a count) is asserted plainly. A *measured relation* may fail for a reason that
is not in the program: a neighbour on the machine, another kind of processor. `holds` states such a relation, measures
again a bounded number of times where it does not hold, and returns what is true here; the sentence under a plot, its
text alternative and the conclusion are chosen by that, with both branches written.

What happens where a relation does not hold is set by the environment variable ``CVPROD_CLAIMS``:

=========  ==================================================================================================
reader     (default) a visible note on the page: "Not on this machine: ...". Never a failure.
strict     (``make test``) AssertionError on an undisturbed machine; a note where something else takes its cores.
publish    (the publishing workflow) AssertionError, whether the machine was disturbed or not.
=========  ==================================================================================================
"""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cvprod import measure

MODE = "CVPROD_CLAIMS"
#: Class of the note on a page where a relation does not hold.
NOTE_CLASS = "claim-note"
MODES = ("reader", "strict", "publish")
T = TypeVar("T")


@dataclass(frozen=True)
class Held:
    """What became of a measured relation; true in a boolean context if it holds on this machine.

    relation: the sentence with its numbers filled in. numbers: those of the last measurement. tries: how many
    measurements it took.
    """

    holds: bool
    relation: str
    numbers: Mapping[str, float]
    tries: int

    def __bool__(self) -> bool:
        return self.holds

    def tell(self, yes: T, no: T) -> T:
        """The branch that is true here."""
        return yes if self.holds else no


def mode() -> str:
    """How strictly claims are judged. Raises ValueError for a word that is none of `MODES`."""
    chosen = os.environ.get(MODE) or MODES[0]
    if chosen not in MODES:
        raise ValueError(f"{MODE} is {chosen!r}; use one of {', '.join(MODES)}.")
    return chosen


def holds(
    relation: str,
    test: Callable[..., bool],
    numbers: Mapping[str, float] | Callable[[], Mapping[str, float]],
    *,
    again: Callable[[], Mapping[str, float]] | None = None,
    tries: int = 3,
) -> Held:
    """Judge a measured relation.

    Args:
        relation: what is claimed, as a format string over the numbers: "INT8 {int8:.2f} ms < float {fp32:.2f} ms".
        test: called with the numbers by name; returns whether the relation holds. A NaN among them holds nothing.
        numbers: the first measurement, or what measures it.
        again: measures once more. Without it, and where `numbers` is a callable, that is called again.
        tries: measurements in all, at least one.

    Returns:
        What is true here. Where it is false, the page says so.

    Raises:
        AssertionError: it does not hold, and the mode demands that it does (see the module).
        ValueError: tries < 1, or a format string that names a number which was not measured.
    """
    if tries < 1:
        raise ValueError(f"a claim needs at least one try, not {tries}.")
    again = again or (numbers if callable(numbers) else None)
    measured = numbers() if callable(numbers) else numbers
    count = 1
    while not (good := _judge(relation, test, measured)) and again is not None and count < tries:
        measured, count = again(), count + 1
    held = Held(good, relation.format(**measured), dict(measured), count)
    if good:
        return held
    strictness = mode()
    told = f"{held.relation} (measured {count} time{'s' * (count > 1)})"
    if strictness == "publish" or (strictness == "strict" and measure.undisturbed()):
        raise AssertionError(f"does not hold: {told}")
    _note(told, disturbed=strictness == "strict")
    return held


def _judge(relation: str, test: Callable[..., bool], numbers: Mapping[str, float]) -> bool:
    wanted = {name.split(".")[0].split("[")[0] for _, name, _, _ in string.Formatter().parse(relation) if name}
    if missing := wanted - numbers.keys():
        raise ValueError(f"the claim {relation!r} names {', '.join(sorted(missing))}, which was not measured.")
    if any(value != value for value in numbers.values()):  # NaN
        return False
    return bool(test(**numbers))


def _note(told: str, *, disturbed: bool) -> None:
    """Show the reader, on the page, that a relation does not hold here."""
    import html

    from IPython.display import HTML, display

    why = " Something else was using this machine's cores." if disturbed else ""
    display(
        HTML(
            f'<div class="admonition warning {NOTE_CLASS}" role="note">'
            '<p class="admonition-title">Not on this machine</p>'
            f"<p>Elsewhere this holds; here it did not: {html.escape(told)}.{why}</p></div>"
        )
    )
