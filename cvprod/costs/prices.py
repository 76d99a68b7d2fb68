"""The price list: every number with its unit, its source, the day on which it was true, and when to look again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cvprod.files import read_yaml

PRICES = Path(__file__).with_name("prices.yaml")
#: Names another list: everything that costs are shown by then follows that one.
VARIABLE = "CVPROD_PRICES"
#: Days after which a number is to be held against its source again: spot prices, and all others.
REVIEW_DAYS = {"spot": 30}
OTHERS_DAYS = 180

Group = Literal[
    "currency", "energy", "vm", "spot", "gpu", "container", "function", "storage", "network", "logs", "carbon", "edge",
    "return",
]  # fmt: skip


class PriceError(ValueError):
    """The price list is wrong or lacks an entry; the message names the file and the entry."""


class Price(BaseModel):
    """One number of the price list."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float = Field(gt=0)
    unit: str = Field(min_length=1)
    group: Group
    item: str = Field(min_length=3)
    provider: Literal["aws", "gcp", "azure", ""] = ""
    region: str = ""
    kind: Literal["published", "assumption"] = "published"
    as_of: date | Literal["undated"]
    reviewed: date
    confidence: Literal["high", "medium", "low"]
    source: str = Field(min_length=5)
    read_at: str = Field(default="", pattern=r"^(https://.*)?$")
    note: str = ""
    query: dict[str, Any] | None = None

    @property
    def due(self) -> date:
        """The day from which it should be held against its source again."""
        return self.reviewed + timedelta(REVIEW_DAYS.get(self.group, OTHERS_DAYS))

    def marks(self, today: date | None = None) -> str:
        """What a reader should know before relying on it, in a few words; nothing if there is nothing to say."""
        said = []
        if self.kind == "assumption":
            said.append("assumption")
        if self.confidence == "low":
            said.append("low confidence: verify")
        if self.as_of == "undated":
            said.append("undated source")
        if (today or date.today()) > self.due:
            said.append(f"review overdue since {self.due}")
        return ", ".join(said)


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=5)
    read_at: str = Field(default="", pattern=r"^(https://.*)?$")


class Prices(Mapping[str, Price]):
    """The whole list, by name; `amount` gives the bare number and insists on its unit."""

    def __init__(self, entries: Mapping[str, Price], path: Path = PRICES) -> None:
        self._entries, self.path = dict(entries), path

    def __getitem__(self, name: str) -> Price:
        if name not in self._entries:
            raise PriceError(f"{self.path}: no price {name!r}; it has {', '.join(sorted(self._entries))}.")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:  # Mapping's own expects a KeyError
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def amount(self, name: str, unit: str) -> float:
        """The number called `name` in `unit`; USD and EUR are turned into each other at the list's own rate.

        Raises PriceError if the entry is missing or is kept in a unit that does not lead to `unit`.
        """
        price = self[name]
        if price.unit == unit:
            return price.value
        if price.unit.startswith("USD") and unit == price.unit.replace("USD", "EUR", 1):
            return price.value * self["usd_in_eur"].value
        if price.unit.startswith("EUR") and unit == price.unit.replace("EUR", "USD", 1):
            return price.value / self["usd_in_eur"].value
        raise PriceError(f"{self.path}: {name} is in {price.unit}, not in {unit}.")

    def usd(self, eur: float) -> float:
        """Euros as dollars, at the list's own rate."""
        return eur / self["usd_in_eur"].value

    def select(self, **fields: str) -> dict[str, Price]:
        """The entries with these fields, such as group="vm", provider="aws". Raises ValueError for an unknown field."""
        if unknown := set(fields) - set(Price.model_fields):
            raise ValueError(f"a price has no {', '.join(sorted(unknown))}; it has {', '.join(Price.model_fields)}.")
        return {n: p for n, p in self.items() if all(getattr(p, field) == value for field, value in fields.items())}

    def overdue(self, today: date | None = None) -> dict[str, Price]:
        """Published numbers that nobody has held against their source for too long."""
        today = today or date.today()
        return {name: price for name, price in self.items() if price.kind == "published" and today > price.due}

    def with_values(self, **values: float) -> Prices:
        """A copy in which some numbers are replaced: for "what if" and for the reader's own prices."""
        changed = {name: Price(**self[name].model_dump() | {"value": value}) for name, value in values.items()}
        return Prices(self._entries | changed, self.path)


def load_prices(path: str | Path | None = None) -> Prices:
    """Read and validate a price list (default: $CVPROD_PRICES, or the one that comes with the package).

    Raises PriceError naming file, entry, field and what to do.
    """
    path = Path(path or os.environ.get(VARIABLE) or PRICES)
    try:
        data = read_yaml(path)
        if not isinstance(data, dict) or set(data) != {"sources", "prices"}:
            raise PriceError(f"{path}: expected the two parts 'sources' and 'prices'; write those.")
        sources = TypeAdapter(dict[str, _Source]).validate_python(data["sources"])
        return Prices(TypeAdapter(dict[str, Price]).validate_python(_with_sources(path, data["prices"], sources)), path)
    except PriceError:
        raise
    except FileNotFoundError:
        raise PriceError(f"{path}: no such file; name a price list.") from None
    except OSError as error:
        raise PriceError(f"{path}: cannot be read ({error.strerror}); name a price list.") from None
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}; correct it." for e in error.errors())
        raise PriceError("\n".join(lines)) from None
    except ValueError as error:
        raise PriceError(f"{path}: not readable as YAML: {error}. Mend the file.") from None


def _with_sources(path: Path, prices: object, sources: Mapping[str, _Source]) -> object:
    """The entries with the title and address of their source in place of its short name."""
    if not isinstance(prices, dict):
        return prices  # the validation says what is wrong with it
    found = {}
    for name, entry in prices.items():
        if isinstance(entry, dict) and "source" in entry:
            if entry["source"] not in sources:
                raise PriceError(f"{path}: {name}.source: {entry['source']!r} is not among the sources; add it there.")
            entry = entry | sources[entry["source"]].model_dump(exclude={"title"})
            entry["source"] = sources[entry["source"]].title
        found[name] = entry
    return found
