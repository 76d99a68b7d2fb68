"""``python -m cvprod.costs COMMAND``: look after the price list, and write what follows from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cvprod.costs import bill, readme, refresh, rules
from cvprod.costs.prices import PriceError, Prices, load_prices


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status (0: well, 1: something is overdue or missing, 2: it could not start)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.costs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prices", type=Path, metavar="FILE", help="another price list")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = commands.add_parser("refresh", help="ask the public price interfaces what has changed")
    new.add_argument("--check", action="store_true", help="ask nobody; fail where a review is overdue")
    new.add_argument("--write", action="store_true", help="put the new numbers into the list")
    commands.add_parser("write", help="write prices into the README files and the alert rules")
    commands.add_parser("rules", help="write prices into the alert rules")
    month = commands.add_parser("bill", help="a month of the line in one cloud, line by line")
    month.add_argument("provider", choices=tuple(bill.PROVIDERS))
    args = parser.parse_args(argv)
    try:
        prices = load_prices(args.prices)
        if args.command == "refresh":
            return _check(prices) if args.check else _refresh(prices, write=args.write)
        if args.command == "bill":
            print(readme.part(f"bill {args.provider}", prices))
            return 0
        print(f"wrote {rules.write(prices)}")
        for path in readme.write(prices) if args.command == "write" else ():
            print(f"wrote {path}")
    except (PriceError, refresh.RefreshError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def _check(prices: Prices) -> int:
    late = prices.overdue()
    for name, price in late.items():
        print(f"{name}: reviewed {price.reviewed}, due {price.due}: hold {price.value:g} {price.unit} against "
              f"{price.read_at or price.source}, then set its 'reviewed'")  # fmt: skip
    print(f"{len(late)} of {len(prices)} numbers are overdue for review" if late else "No review is overdue.")
    return int(bool(late))


def _refresh(prices: Prices, *, write: bool) -> int:
    found, problems = refresh.ask(prices)
    print("\n".join(refresh.changes(prices, found)) or f"{len(found)} numbers asked for; none has changed.")
    for problem in problems:
        print(problem, file=sys.stderr)
    hand = refresh.by_hand(prices)
    print(f"To be looked up by hand, since no public interface states them: {', '.join(hand)}")
    if write:
        refresh.write(prices.path, found)
        print(f"wrote {prices.path}; now run: python -m cvprod.costs write")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
