"""Ask the public price interfaces for today's prices, and show or write what changed.

Azure: the Retail Prices API (prices.azure.com, no key). AWS: the price list files (one large CSV for each service and
region, read line by line). Euro: the European Central Bank's daily rates. Google's interface wants a key, and the spot
prices of AWS an account: those are listed as "by hand".
"""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cvprod.costs.prices import Price, Prices
from cvprod.files import write_atomic

AZURE = "https://prices.azure.com/api/retail/prices"
AWS = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{offer}/current/{region}/index.csv"
ECB = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
SECONDS = 60

#: Address -> lines of the answer, as text. Tests put recorded answers in its place.
Fetch = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Found:
    """One number as its provider states it today. `value` in the unit of the list's entry."""

    name: str
    value: float
    as_of: date


class RefreshError(RuntimeError):
    """A provider's answer could not be had or read; the message says which and why."""


def fetch(address: str) -> Iterator[str]:
    """The lines of an answer. Raises RefreshError."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            yield from io.TextIOWrapper(answer, encoding="utf-8", newline="")
    except OSError as error:
        raise RefreshError(f"{address}: no answer ({error})") from error


def ask(prices: Prices, get: Fetch = fetch, today: date | None = None) -> tuple[list[Found], list[str]]:
    """Today's numbers for every entry with a query, and a sentence for each that could not be found."""
    found, problems = [], []
    today = today or date.today()
    asked = {name: price for name, price in prices.items() if price.query}
    for name, price in asked.items():
        api = price.query["api"]
        try:
            if api == "ecb":
                found.append(_ecb(name, get))
            elif api == "azure":
                found.append(_azure(name, price, get, today))
        except RefreshError as error:
            problems.append(f"{name}: {error}")
    by_file: dict[tuple[str, str], dict[str, Price]] = {}
    for name, price in asked.items():
        if price.query["api"] == "aws":
            by_file.setdefault((price.query["offer"], price.region), {})[name] = price
    for (offer, region), wanted in by_file.items():
        try:
            some, missing = _aws(offer, region, wanted, get)
            found += some
            problems += [f"{name}: not in the price file of {offer}, {region}" for name in missing]
        except RefreshError as error:
            problems.append(f"{', '.join(wanted)}: {error}")
    return found, problems


def by_hand(prices: Prices) -> list[str]:
    """Published entries that no public interface states: somebody has to look."""
    return [name for name, price in prices.items() if price.kind == "published" and not price.query]


def _ecb(name: str, get: Fetch) -> Found:
    text = "".join(get(ECB))
    day = re.search(r"time=['\"](\d{4}-\d\d-\d\d)['\"]", text)
    rate = re.search(r"currency=['\"]USD['\"]\s+rate=['\"]([\d.]+)['\"]", text)
    if not day or not rate:
        raise RefreshError("the European Central Bank's answer has no day or no rate for the dollar")
    return Found(name, round(1 / float(rate[1]), 4), date.fromisoformat(day[1]))


def _azure(name: str, price: Price, get: Fetch, today: date) -> Found:
    query = (
        f"serviceName eq 'Virtual Machines' and armRegionName eq '{price.region}' "
        f"and armSkuName eq '{price.query['sku']}' and priceType eq 'Consumption'"
    )
    address: str | None = f"{AZURE}?{urllib.parse.urlencode({'$filter': query})}"
    items: list[dict] = []
    while address:
        try:
            answer = json.loads("".join(get(address)))
            items += answer["Items"]
            address = answer.get("NextPageLink")
        except (ValueError, KeyError, TypeError) as error:
            raise RefreshError(f"Azure's answer is not what its documentation says ({error})") from error
    wanted = bool(price.query.get("spot"))
    fits = [
        item
        for item in items
        if "Windows" not in item["productName"]
        and "Low Priority" not in item["skuName"]
        and ("Spot" in item["skuName"]) == wanted
        and item["unitOfMeasure"] == "1 Hour"
        and item["currencyCode"] == "USD"
    ]
    if len({item["retailPrice"] for item in fits}) != 1:
        raise RefreshError(f"Azure states {len(fits)} prices for {price.query['sku']} in {price.region}, not one")
    return Found(name, fits[0]["retailPrice"], today)


def _aws(offer: str, region: str, wanted: dict[str, Price], get: Fetch) -> tuple[list[Found], set[str]]:
    """Read the file once, for all entries. Its first five lines say what it is, the sixth names the columns."""
    lines = iter(get(AWS.format(offer=offer, region=region)))
    day = None
    for text in lines:
        row = next(csv.reader([text]))
        if row[0] == "Publication Date":
            day = date.fromisoformat(row[1][:10])
        if row[0] == "SKU":
            head = {column: i for i, column in enumerate(row)}
            break
    else:
        raise RefreshError(f"the price file of {offer} has no header")
    try:
        columns = {name: head[name] for name in ("TermType", "PricePerUnit", "Currency", "usageType", "operation")}
        start = head["StartingRange"]
    except KeyError as error:
        raise RefreshError(f"the price file of {offer} has no column {error}") from None
    by_usage: dict[str, list[str]] = {}
    for name, price in wanted.items():
        by_usage.setdefault(price.query["usage"], []).append(name)
    found: dict[str, Found] = {}
    for row in csv.reader(lines):
        if len(row) <= max(columns.values()) or row[columns["usageType"]] not in by_usage:
            continue
        if row[columns["TermType"]] != "OnDemand" or row[columns["Currency"]] != "USD":
            continue
        if row[start] not in ("", "0"):
            continue  # a cheaper step for large amounts
        for name in by_usage[row[columns["usageType"]]]:
            operation = wanted[name].query.get("operation")
            value = float(row[columns["PricePerUnit"]])
            if value > 0 and operation in (None, row[columns["operation"]]):
                found.setdefault(name, Found(name, value, day or date.today()))
    return list(found.values()), set(wanted) - set(found)


def changes(prices: Prices, found: Iterable[Found]) -> list[str]:
    """One line for each number that is another today."""
    lines = []
    for one in found:
        old = prices[one.name].value
        if abs(one.value - old) > 1e-9 * old:
            lines.append(f"{one.name}: {old:g} -> {one.value:g} {prices[one.name].unit} ({one.value / old - 1:+.1%})")
    return lines


def write(path: Path, found: Iterable[Found], today: date | None = None) -> None:
    """Put the numbers, their day and the day of review into the list, and leave everything else, comments too."""
    text = path.read_text("utf-8")
    for one in found:
        block = re.search(rf"^  {re.escape(one.name)}:\n(?:    .*\n)+", text, re.M)
        if block is None:
            raise RefreshError(f"{path}: no entry {one.name} in the form that `refresh` can rewrite")
        entry = block[0]
        for key, value in (("value", f"{one.value:.10g}"), ("as_of", one.as_of), ("reviewed", today or date.today())):
            entry = re.sub(rf"^    {key}: .*$", f"    {key}: {value}", entry, flags=re.M)
        entry = re.sub(r"^    confidence: .*$", "    confidence: high", entry, flags=re.M)
        text = text[: block.start()] + entry + text[block.end() :]
    write_atomic(path, text.encode())
