"""``python -m cvprod.bench COMMAND``: finds the command's module, lets it read its arguments, runs it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from cvprod.contract import ContractError
from cvprod.models import WeightsError
from cvprod.surface import ImageError

from . import COMMANDS, FailureError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status (0: well, 1: it failed, 2: it could not start, 130: interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.bench", description="Benchmarks of the book's claims.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"{__package__}.{name}")
        text = (module.__doc__ or name).strip()
        sub = commands.add_parser(name, help=text.splitlines()[0].rstrip("."), description=text)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (UsageError, ContractError, ImageError, WeightsError) as error:
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 2
    except FailureError as error:
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog} {args.command}: interrupted, nothing was written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
