"""The price list: every number with its unit, its source and the day on which it was true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cvprod.files import read_yaml

PRICES = Path(__file__).with_name("prices.yaml")


class PriceError(ValueError):
    """The price list is wrong or lacks an entry; the message names the file and the entry."""


class Price(BaseModel):
    """One number of the price list."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float = Field(gt=0)
    unit: str = Field(min_length=1)
    as_of: date
    kind: Literal["published", "assumption"]
    source: str = Field(min_length=5)
    read_at: str = Field(default="", pattern=r"^(https://.*)?$")


class Prices(Mapping[str, Price]):
    """The whole list, by name; `amount` gives the bare number and insists on its unit."""

    def __init__(self, entries: Mapping[str, Price], path: Path = PRICES) -> None:
        self._entries, self._path = dict(entries), path

    def __getitem__(self, name: str) -> Price:
        if name not in self._entries:
            raise PriceError(f"{self._path}: no price {name!r}; it has {', '.join(sorted(self._entries))}.")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:  # Mapping's own expects a KeyError
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def amount(self, name: str, unit: str) -> float:
        """The number called `name` in `unit`; USD are turned into EUR at the list's own rate where asked for.

        Raises PriceError if the entry is missing or is kept in a unit that does not lead to `unit`.
        """
        price = self[name]
        if price.unit == unit:
            return price.value
        if price.unit.startswith("USD") and unit == price.unit.replace("USD", "EUR", 1):
            return price.value * self["usd_in_eur"].value
        raise PriceError(f"{self._path}: {name} is in {price.unit}, not in {unit}.")

    def with_values(self, **values: float) -> Prices:
        """A copy in which some numbers are replaced: for "what if" and for the reader's own prices."""
        changed = {name: Price(**self[name].model_dump() | {"value": value}) for name, value in values.items()}
        return Prices(self._entries | changed, self._path)


def load_prices(path: str | Path = PRICES) -> Prices:
    """Read and validate a price list. Raises PriceError naming file, entry, field and what to do."""
    path = Path(path)
    try:
        data = read_yaml(path)
        return Prices(TypeAdapter(dict[str, Price]).validate_python(data), path)
    except FileNotFoundError:
        raise PriceError(f"{path}: no such file; name a price list.") from None
    except OSError as error:
        raise PriceError(f"{path}: cannot be read ({error.strerror}); name a price list.") from None
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}; correct it." for e in error.errors())
        raise PriceError("\n".join(lines)) from None
    except ValueError as error:
        raise PriceError(f"{path}: not readable as YAML: {error}. Mend the file.") from None
