"""Costs in Markdown files, written between two marks from the price list, so that no price is typed into a text.

    <!-- costs: bill aws -->
    ...
    <!-- /costs -->

`python -m cvprod.costs write` fills every such part of the repository's README files; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cvprod.contract import load_contract
from cvprod.costs import bill, serverless, stack
from cvprod.costs.prices import Price, Prices
from cvprod.repo import root

_PART = re.compile(r"(<!-- costs: ([^>]+?) -->\n).*?(<!-- /costs -->)", re.S)
#: Bytes of a tile as JPEG, of its answer with headers, and of a line in the log, as the service of chapter 6 has them.
TILE_BYTES, ANSWER_BYTES, LOG_BYTES = 12_000.0, 400.0, 200.0
#: What a function's call takes that the tables are computed for, in ms; yours comes from `python -m cvprod.bench cost`.
CALL_MS = {1: 4.0, 16: 40.0}


def files() -> Iterator[Path]:
    """The Markdown files of the repository that have such parts, except what is built or installed."""
    for pattern in ("*.md", "deploy/**/*.md", "terraform/**/*.md", "book/*.md"):
        for path in sorted(root().glob(pattern)):
            if _PART.search(path.read_text("utf-8")):
                yield path


def filled(text: str, prices: Prices) -> str:
    """The text with every part computed anew. Raises ValueError for a part that nobody knows."""
    return _PART.sub(lambda m: m[1] + "\n" + part(m[2], prices) + "\n" + m[3], text)


def part(words: str, prices: Prices) -> str:
    """One part as Markdown.

    "bill PROVIDER": a month of the line; "calls": a million tiles by functions; "stack PROVIDER": a month of a stack in
    terraform/; "stack-verdict": what the contract says to those.
    """
    what, *rest = words.split()
    if what == "bill" and len(rest) == 1:
        return _bill(prices, rest[0])
    if what == "calls" and not rest:
        return _calls(prices)
    if what == "stack" and len(rest) == 1:
        return _table(prices, stack.monthly(prices, rest[0], month()))
    if what == "stack-verdict" and not rest:
        return _verdict(prices)
    raise ValueError(f"no part {words!r}; there are 'bill PROVIDER', 'calls', 'stack PROVIDER' and 'stack-verdict'.")


def month() -> bill.Traffic:
    """A month of the line, by the contract: two machines, always on."""
    limits = load_contract()
    return bill.Traffic(
        limits.tiles_per_s.limit, limits.line.hours_per_year / 12, 2, TILE_BYTES, ANSWER_BYTES, LOG_BYTES, logged=0.01
    )


def _bill(prices: Prices, provider: str) -> str:
    return _table(prices, bill.monthly(prices, provider, month()))


def _verdict(prices: Prices) -> str:
    """How the stacks' bills stand to what the plant wants to spend."""
    allowed = load_contract().line.compute_budget_eur_per_year / 12
    bills = {name: bill.total(stack.monthly(prices, name, month())) for name in stack.CLOUDS}
    least = min(bills, key=bills.__getitem__)
    factor = bills[least] / allowed
    if factor <= 1:
        return f"The contract allows {allowed:.0f} EUR a month. The stack on {least} keeps it."
    return (
        f"The contract allows {allowed:.0f} EUR a month for computing; the cheapest of these ({least}) takes "
        f"{factor:.1f} times that. For one line by the rule the box beside it is the answer (chapter 11); these "
        "stacks are for plants that share a service, or have no room for a box."
    )


def _table(prices: Prices, lines: list[bill.Line]) -> str:
    rows = [
        f"| {one.what} | {one.quantity:,.1f} {one.unit} | {prices[one.price].value:g} {prices[one.price].unit} "
        f"| {_of(prices[one.price])} | {one.eur:,.2f} |"
        for one in lines
    ]
    head = ["| what | quantity | price | of | EUR a month |", "|---|---|---|---|---:|"]
    return "\n".join([*head, *rows, f"| **total** | | | | **{bill.total(lines):,.2f}** |"])


def _of(price: Price) -> str:
    """Day or doubt of a price; without what depends on today, so that the file stays as it is."""
    return price.marks(price.reviewed) or str(price.as_of)


def _calls(prices: Prices) -> str:
    rows = []
    for tiles, ms in CALL_MS.items():
        for one in (
            serverless.lambda_call(prices, "eu", ms, tiles=tiles),
            serverless.run_call(prices, "eu", 1e3 * tiles / ms, tiles=tiles),
            serverless.azure_call(prices, ms, tiles=tiles),
        ):
            place = f"{one.provider}, {one.region}" if one.region else one.provider
            rows.append(f"| {one.name} ({place}) | {ms:g} ms | {one.eur_per_million:.3f} | {one.fee_share:.0%} |")
    return "\n".join(
        ["| function | a call takes | EUR a million tiles | of it the fee |", "|---|---|---:|---:|", *rows]
    )


def write(prices: Prices) -> list[Path]:
    """Fill the parts of every file; returns the files that changed."""
    changed = []
    for path in files():
        before = path.read_text("utf-8")
        if (after := filled(before, prices)) != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed
