"""The service-level contract: what the plant needs, in numbers, in one file that code can check.

`deploy/contract.yaml` holds the facts of the line and seven requirements. Each requirement keeps the plant's
own sentence and the reasoning that turns it into a number. Four limits follow from the facts of the line: they are
recomputed when the file is read, so nobody can speed the strip up and forget what depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


class Requirement(_Strict):
    """One limit, the plant's own sentence, and why the sentence means this number."""

    limit: float = Field(gt=0)
    says: str = Field(min_length=10)
    why: str = Field(min_length=10)


class Share(Requirement):
    """A requirement between 0 and 1."""

    limit: float = Field(gt=0, lt=1)


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

    @property
    def sign(self) -> str:
        return "<=" if REQUIREMENTS[self.name][1] == "max" else ">="

    @property
    def status(self) -> str:
        """ "met", "broken", "not measured" or, where the limit lies inside the interval, "not decided"."""
        if self.measured is None:
            return "not measured"
        if self.ok:
            return "met"
        ends = self.interval or (self.measured, self.measured)
        return "not decided" if any(_keeps(self.name, end, self.limit) for end in ends) else "broken"


def _possible(name: str, value: object) -> float | None:
    """A measured value as a number; None for None and nan. Raises ValueError."""
    try:
        number = math.nan if value is None else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: {value!r} is no number.") from None
    if isinstance(value, str) or number < 0 or (number > 1 and REQUIREMENTS[name][0] == "share"):
        raise ValueError(f"{name}: {value!r} cannot have been measured.")
    return None if math.isnan(number) else number


def _keeps(name: str, value: float, limit: float) -> bool:
    return value <= limit if REQUIREMENTS[name][1] == "max" else value >= limit


class Contract(_Strict):
    """The contract. `contract.p99_latency_ms.limit` is a number, `.says` and `.why` its reasons."""

    line: Line
    p99_latency_ms: Requirement
    tiles_per_s: Requirement
    defect_recall: Share
    false_reject_rate: Share
    model_size_mb: Requirement
    memory_mb: Requirement
    cost_per_million_tiles_eur: Requirement

    def _repr_markdown_(self) -> str:
        """What a notebook shows: each requirement with the plant's sentence and the reason for the number."""
        entries = []
        for name, (unit, direction) in REQUIREMENTS.items():
            requirement = getattr(self, name)
            sign = "at most" if direction == "max" else "at least"
            amount = f"{requirement.limit:.0%}" if unit == "share" else f"{requirement.limit:g} {unit}"
            entries.append(f"- **`{name}`: {sign} {amount}**<br>“{requirement.says}”<br>{requirement.why}")
        return "\n".join(entries)

    def limits(self) -> dict[str, float]:
        """Name -> limit of every requirement, in the file's order."""
        return {name: getattr(self, name).limit for name in REQUIREMENTS}

    def check(
        self, measured: Mapping[str, float | None], intervals: Mapping[str, tuple[float, float]] | None = None
    ) -> list[Check]:
        """Hold `measured` (requirement name -> number, in the contract's unit) against every limit.

        `intervals` (name -> (low, high)) says how uncertain some of them are: a limit is then met only if the whole
        interval keeps it. Always returns all seven checks, in order. What is absent or None was not measured, and
        what was not measured is not met: a contract is kept by evidence. Raises ValueError for an unknown name, a
        value that cannot be (a negative one, a share above 1) and an interval that its value does not lie in.
        """
        intervals = intervals or {}
        unknown = sorted(str(name) for name in set(measured).union(intervals) - set(REQUIREMENTS))
        if unknown:
            known = ", ".join(REQUIREMENTS)
            raise ValueError(f"{', '.join(unknown)}: not in the contract, which has {known}.")
        checks = []
        for name, (unit, _) in REQUIREMENTS.items():
            limit, value, ends = getattr(self, name).limit, measured.get(name), intervals.get(name)
            value = _possible(name, value)
            if value is not None and ends is not None and not ends[0] - 1e-9 <= value <= ends[1] + 1e-9:
                raise ValueError(f"{name}: {value:g} does not lie in its interval, {ends[0]:g} to {ends[1]:g}.")
            ok = value is not None and all(_keeps(name, x, limit) for x in (value, *(ends or ())))
            checks.append(Check(name, limit, value, unit, ok, ends))
        return checks


def load_contract(path: str | Path | None = None) -> Contract:
    """Read and validate a contract file (default: this project's deploy/contract.yaml).

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
    try:
        contract = Contract(**data)
    except ValidationError as error:
        raise ContractError("\n".join(_explain(path, e) for e in error.errors())) from None
    except TypeError:
        raise ContractError(f"{path}: every key must be a word such as 'line' or 'tiles_per_s'.") from None
    problems = _contradictions(contract)
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


def _contradictions(contract: Contract) -> list[str]:
    """Limits that are laxer than the facts of the line allow (2 % of rounding is forgiven); stricter is a choice."""
    line = contract.line
    if line.tile_overlap_pixels >= line.tile_pixels:
        return [f"line.tile_overlap_pixels: {line.tile_overlap_pixels} is not less than a tile. Correct it."]
    try:
        derived = {
            "p99_latency_ms": line.latency_ms,
            "tiles_per_s": line.tiles_per_s,
            "model_size_mb": line.update_mb,
            "cost_per_million_tiles_eur": line.eur_per_million_tiles,
        }
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
