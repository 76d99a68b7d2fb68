"""The service-level contract: what the plant needs, in numbers, in one file that code can check.

`deploy/contract.yaml` holds the facts of the line and seven requirements. Each requirement keeps the plant's
own sentence and the reasoning that turns it into a number. Four limits follow from the facts of the line: they are
recomputed when the file is read, so nobody can speed the strip up and forget what depends on it.

A contract of your own may name other classes (`classes`), requirements of its own (`own`), and, where nothing runs on a
line (a phone, a video), no line and only those of the seven requirements that it needs. `python -m cvprod.contract`
shows a file's limits and which of them the line no longer asks for.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvprod.files import read_yaml
from cvprod.repo import deploy_file

# name -> (unit, "max" = the measured value may be at most the limit, "min" = at least)
REQUIREMENTS: dict[str, tuple[str, str]] = {
    "p99_latency_ms": ("ms", "max"),
    "tiles_per_s": ("tiles/s", "min"),
    "defect_recall": ("share", "min"),
    "false_reject_rate": ("share", "max"),
    "model_size_mb": ("MB", "max"),
    "memory_mb": ("MB", "max"),
    "cost_per_million_tiles_eur": ("EUR", "max"),
}


class ContractError(ValueError):
    """The contract file is missing, unreadable or contradicts itself; the message names file and field."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Line(_Strict):
    """Facts of the production line from which limits are derived. Units are in the names."""

    strip_width_mm: float = Field(gt=0)
    strip_speed_m_per_s: float = Field(gt=0)
    mm_per_pixel: float = Field(gt=0)
    tile_pixels: int = Field(gt=0)
    tile_overlap_pixels: int = Field(64, ge=0)  # of neighbouring tiles of a frame
    mark_tolerance_mm: float = Field(gt=0)
    update_link_mbit_per_s: float = Field(gt=0)
    update_window_s: float = Field(gt=0)
    hours_per_year: float = Field(gt=0, le=8784)
    compute_budget_eur_per_year: float = Field(gt=0)

    @property
    def tile_mm(self) -> float:
        """Edge of one tile on the strip, in mm."""
        return self.tile_pixels * self.mm_per_pixel

    @property
    def tiles_across(self) -> int:
        """Tiles needed to cover the strip's width: a part of a tile needs a whole one."""
        return max(1, math.ceil(self.strip_width_mm / self.tile_mm - 1e-9))

    @property
    def rows_per_s(self) -> float:
        """Rows of tiles that pass the camera each second at full speed."""
        return self.strip_speed_m_per_s * 1000 / self.tile_mm

    @property
    def tiles_per_s(self) -> float:
        """Tiles the line makes each second at full speed."""
        return self.tiles_across * self.rows_per_s

    @property
    def latency_ms(self) -> float:
        """Time in which the strip moves by the tolerance of the marking gun."""
        return self.mark_tolerance_mm / self.strip_speed_m_per_s

    @property
    def update_mb(self) -> float:
        """Megabytes that fit through the update link in the gap between two coils."""
        return self.update_link_mbit_per_s / 8 * self.update_window_s

    @property
    def million_tiles_per_year(self) -> float:
        return self.tiles_per_s * 3600 * self.hours_per_year / 1e6

    @property
    def eur_per_million_tiles(self) -> float:
        """The yearly compute budget spread over the year's tiles."""
        return self.compute_budget_eur_per_year / self.million_tiles_per_year


#: Facts that are counted, not measured.
_WHOLE = tuple(name for name, field in Line.model_fields.items() if field.annotation is int)


class Requirement(_Strict):
    """One limit, the plant's own sentence, and why the sentence means this number."""

    limit: float = Field(gt=0)
    says: str = Field(min_length=10)
    why: str = Field(min_length=10)


class Share(Requirement):
    """A requirement between 0 and 1."""

    limit: float = Field(gt=0, lt=1)


class Own(Requirement):
    """A requirement of one's own: its unit ("share" for a value of 0 to 1), and on which side of the limit to be."""

    unit: str = Field(min_length=1)
    at: Literal["most", "least"]


class Classes(_Strict):
    """Names of the classes in the order of the network's outputs, and which of them is no defect (None: all are)."""

    names: list[str] = Field(min_length=2)
    clean: str | None = None


@dataclass(frozen=True)
class Check:
    """One requirement beside what was measured. `measured` is None, and `ok` False, where nothing was.

    `interval` is (low, high) where the measured value is an estimate; `ok` then asks that all of it keeps the limit.
    """

    name: str
    limit: float
    measured: float | None
    unit: str
    ok: bool
    interval: tuple[float, float] | None = None
    direction: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", self.direction or REQUIREMENTS[self.name][1])

    @property
    def sign(self) -> str:
        return "<=" if self.direction == "max" else ">="

    @property
    def status(self) -> str:
        """ "met", "broken", "not measured" or, where the limit lies inside the interval, "not decided"."""
        if self.measured is None:
            return "not measured"
        if self.ok:
            return "met"
        ends = self.interval or (self.measured, self.measured)
        return "not decided" if any(_keeps(self.direction, end, self.limit) for end in ends) else "broken"


def _possible(name: str, unit: str, value: object) -> float | None:
    """A measured value as a number; None for None and nan. Raises ValueError."""
    try:
        number = math.nan if value is None else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: {value!r} is no number.") from None
    if isinstance(value, str) or number < 0 or (number > 1 and unit == "share"):
        raise ValueError(f"{name}: {value!r} cannot have been measured.")
    return None if math.isnan(number) else number


def _keeps(direction: str, value: float, limit: float) -> bool:
    return value <= limit if direction == "max" else value >= limit


class Contract(_Strict):
    """The contract. `contract.p99_latency_ms.limit` is a number, `.says` and `.why` its reasons.

    With a line all seven requirements are there. Without one those that the file does not name are None.
    """

    line: Line | None = None
    p99_latency_ms: Requirement | None = None
    tiles_per_s: Requirement | None = None
    defect_recall: Share | None = None
    false_reject_rate: Share | None = None
    model_size_mb: Requirement | None = None
    memory_mb: Requirement | None = None
    cost_per_million_tiles_eur: Requirement | None = None
    own: dict[str, Own] = Field(default_factory=dict)
    classes: Classes | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the network's outputs; empty where the file leaves them to the book."""
        return tuple(self.classes.names) if self.classes else ()

    def requirements(self) -> dict[str, tuple[Requirement, str, str]]:
        """Name -> (requirement, unit, "max" or "min"), the book's first, then one's own."""
        found = {name: (getattr(self, name), *kind) for name, kind in REQUIREMENTS.items() if getattr(self, name)}
        return found | {name: (r, r.unit, "max" if r.at == "most" else "min") for name, r in self.own.items()}

    def derived(self) -> dict[str, float]:
        """Name -> the limit that follows from the facts of the line; empty without a line."""
        if self.line is None:
            return {}
        return {
            "p99_latency_ms": self.line.latency_ms,
            "tiles_per_s": self.line.tiles_per_s,
            "model_size_mb": self.line.update_mb,
            "cost_per_million_tiles_eur": self.line.eur_per_million_tiles,
        }

    def loose(self) -> dict[str, tuple[float, float]]:
        """Limits that the line no longer asks for: name -> (limit, what would do). 2 % of rounding is forgiven.

        A slower strip or a larger budget leaves such limits behind. They cost money and break nothing, so this is no
        error; `follow` makes them anew.
        """
        found = {}
        for name, value in self.derived().items():
            limit = getattr(self, name).limit
            if limit < value * 0.98 if REQUIREMENTS[name][1] == "max" else limit > value * 1.02:
                found[name] = (limit, value)
        return found

    def follow(self, **facts: float) -> Contract:
        """The contract of the same line with other facts, such as strip_speed_m_per_s=1.5: what follows is recomputed.

        Raises ContractError for a fact that the line does not have, or that no line can have.
        """
        if self.line is None:
            raise ContractError("this contract has no line, so nothing follows from facts of one.")
        try:
            line = Line(**{**self.line.model_dump(), **{name: value if name in _WHOLE else float(value)
                                                        for name, value in facts.items()}})  # fmt: skip
            changed = self.model_copy(update={"line": line})
            if wide := _too_wide(line):
                raise ContractError(wide)
            derived = changed.derived()
            if not all(0 < value < math.inf for value in derived.values()):
                raise ArithmeticError("a limit would be 0 or infinite")
            limits = {}
            for name, value in derived.items():
                before = getattr(self, name)
                why = f"Recomputed for another {', '.join(facts)}. It was {before.limit:g}: {before.why}"
                limits[name] = before.model_copy(update={"limit": value, "why": why})  # fmt: skip
        except ValidationError as error:
            raise ContractError("\n".join(_explain(Path("line"), e) for e in error.errors())) from None
        except ContractError:
            raise
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ContractError(f"line: these numbers belong to no line ({error}). Correct them.") from None
        return changed.model_copy(update=limits)

    def _repr_markdown_(self) -> str:
        """What a notebook shows: each requirement with the plant's sentence and the reason for the number."""
        entries = []
        for name, (requirement, unit, direction) in self.requirements().items():
            sign = "at most" if direction == "max" else "at least"
            amount = f"{requirement.limit:.0%}" if unit == "share" else f"{requirement.limit:g} {unit}"
            entries.append(f"- **`{name}`: {sign} {amount}**<br>“{requirement.says}”<br>{requirement.why}")
        return "\n".join(entries)

    def limits(self) -> dict[str, float]:
        """Name -> limit of every requirement, in the file's order."""
        return {name: requirement.limit for name, (requirement, _, _) in self.requirements().items()}

    def check(
        self, measured: Mapping[str, float | None], intervals: Mapping[str, tuple[float, float]] | None = None
    ) -> list[Check]:
        """Hold `measured` (requirement name -> number, in the contract's unit) against every limit.

        `intervals` (name -> (low, high)) says how uncertain some of them are: a limit is then met only if the whole
        interval keeps it. Always returns a check of every requirement, in order. What is absent or None was not
        measured, and what was not measured is not met: a contract is kept by evidence. Raises ValueError for an
        unknown name, a value that cannot be (a negative one, a share above 1) and an interval that its value does not
        lie in.
        """
        intervals, required = intervals or {}, self.requirements()
        unknown = sorted(str(name) for name in set(measured).union(intervals) - set(required))
        if unknown:
            known = ", ".join(required)
            raise ValueError(f"{', '.join(unknown)}: not in the contract, which has {known}.")
        checks = []
        for name, (requirement, unit, direction) in required.items():
            limit, value, ends = requirement.limit, measured.get(name), intervals.get(name)
            value = _possible(name, unit, value)
            if value is not None and ends is not None and not ends[0] - 1e-9 <= value <= ends[1] + 1e-9:
                raise ValueError(f"{name}: {value:g} does not lie in its interval, {ends[0]:g} to {ends[1]:g}.")
            ok = value is not None and all(_keeps(direction, x, limit) for x in (value, *(ends or ())))
            checks.append(Check(name, limit, value, unit, ok, ends, direction))
        return checks


def load_contract(path: str | Path | None = None, *, needs: Collection[str] = ()) -> Contract:
    """Read and validate a contract file (default: this project's deploy/contract.yaml).

    needs: requirements without which the caller can do nothing; a contract without a line may leave them out.

    Raises ContractError naming the file, the field and what to do.
    """
    path = Path(path) if path is not None else deploy_file("contract.yaml")
    try:
        data = read_yaml(path)
    except FileNotFoundError:
        raise ContractError(f"{path}: no such file. Name the contract, or run from the repository.") from None
    except OSError as error:
        raise ContractError(f"{path}: cannot be read ({error.strerror}). Name a contract's file.") from None
    except ValueError as error:
        raise ContractError(f"{path}: not readable as YAML: {error}. Mend the file.") from None
    if not isinstance(data, dict):
        raise ContractError(f"{path}: expected a mapping with 'line' and the requirements; write those.")
    missing = [f"{path}: {name}: add it." for name in REQUIREMENTS if data.get("line") is not None and name not in data]
    try:
        contract = Contract(**data)
    except ValidationError as error:
        raise ContractError("\n".join([*missing, *(_explain(path, e) for e in error.errors())])) from None
    except TypeError:
        raise ContractError(f"{path}: every key must be a word such as 'line' or 'tiles_per_s'.") from None
    missing += [f"{path}: {name}: add it; it is needed here." for name in needs if name not in contract.limits()]
    if missing:
        raise ContractError("\n".join(missing))
    problems = [*_own_problems(contract), *_contradictions(contract)]
    if problems:
        raise ContractError("\n".join(f"{path}: {problem}" for problem in problems))
    return contract


def _explain(path: Path, error: Mapping) -> str:
    field = ".".join(str(part) for part in error["loc"])
    todo = {
        "missing": "add it",
        "extra_forbidden": "no such field: correct the spelling or remove it",
    }.get(error["type"], f"{error['msg']} (it is {error['input']!r}): correct it")
    return f"{path}: {field}: {todo}."


def _own_problems(contract: Contract) -> list[str]:
    """What is wrong with requirements and classes of one's own, beyond the types of the fields."""
    found = [f"own.{name}: the book has a requirement of that name; choose another." for name in REQUIREMENTS
             if name in contract.own]  # fmt: skip
    found += [
        f"own.{name}.limit: {own.limit:g} is no share, which lies between 0 and 1. Correct it, or the unit."
        for name, own in contract.own.items()
        if own.unit == "share" and own.limit >= 1
    ]
    if not contract.requirements():
        found.append("it requires nothing. Name a limit.")
    if contract.classes is not None:
        names = contract.classes.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            found.append(f"classes.names: {', '.join(twice)} is there twice. Name each class once.")
        found += [f"classes.names: {name!r} is no name: write one without line breaks or spaces around it."
                  for name in names if not name.strip() or name != name.strip() or not name.isprintable()]  # fmt: skip
        if contract.classes.clean is not None and contract.classes.clean not in names:
            found.append(f"classes.clean: {contract.classes.clean!r} is none of {', '.join(names)}. Correct it.")
    return found


def _contradictions(contract: Contract) -> list[str]:
    """Limits that are laxer than the facts of the line allow (2 % of rounding is forgiven); stricter is a choice."""
    line = contract.line
    if line is not None and (wide := _too_wide(line)):
        return [wide]
    try:
        derived = contract.derived()
    except ArithmeticError as error:
        return [f"line: these numbers belong to no line ({error}). Correct them."]
    found = []
    for name, value in derived.items():
        limit = getattr(contract, name).limit
        lax = limit > value * 1.02 if REQUIREMENTS[name][1] == "max" else limit < value * 0.98
        if lax:
            found.append(
                f"{name}.limit: {limit:g} is laxer than {value:.4g}, which follows from 'line'. "
                "Correct the limit, or the facts of the line."
            )
    return found


def _too_wide(line: Line) -> str:
    if line.tile_overlap_pixels < line.tile_pixels:
        return ""
    return f"line.tile_overlap_pixels: {line.tile_overlap_pixels} is not less than a tile. Correct it."


def main(arguments: list[str] | None = None) -> int:
    """Show a contract; returns the exit status (0: it holds together, 1: it does not). A wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.contract", description="Show a contract's limits.")
    parser.add_argument("file", nargs="?", help="default: the book's, deploy/contract.yaml")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FACT=VALUE", help="facts of the line, such as strip_speed_m_per_s=1.5"
    )
    options = parser.parse_args(arguments)
    try:
        contract = load_contract(options.file)
        if options.set:
            contract = contract.follow(**_facts(options.set))
    except ContractError as error:
        print(error, file=sys.stderr)
        return 1
    for name, (requirement, unit, direction) in contract.requirements().items():
        print(f"{name:<28} {'<=' if direction == 'max' else '>='} {requirement.limit:.4g} {unit}")
    if contract.class_names:
        print("classes: " + ", ".join(contract.class_names))
    for name, (limit, value) in contract.loose().items():
        print(f"{name}: {limit:g} is stricter than the line asks for; {value:.4g} would do (--set recomputes it)")
    return 0


def _facts(words: list[str]) -> dict[str, float]:
    facts = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            facts[name] = int(value) if name in _WHOLE else float(value)
        except ValueError:
            raise ContractError(f"{word}: write a fact of the line as name=number.") from None
    return facts


if __name__ == "__main__":
    sys.exit(main())
