"""``python -m cvprod.monitoring``: `rules` writes Prometheus rules from the contract, `calibrate` a baseline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cvprod.contract import ContractError, load_contract
from cvprod.serving.card import ModelError
from cvprod.serving.settings import DEFAULT_MODEL


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 what is there is not what the contract makes, 2 it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.monitoring", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rules = commands.add_parser("rules", help="Prometheus rules and alerts, from the contract")
    rules.add_argument("--check", action="store_true", help="write nothing; status 1 where the files differ")
    rules.add_argument("--folder", type=Path, help="where to; by default this project's deploy/monitoring/rules")
    rules.add_argument("--contract", type=Path, help="another contract than deploy/contract.yaml")
    calibrate = commands.add_parser("calibrate", help="reference and null scores for a model")
    calibrate.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="its card")
    calibrate.add_argument("--out", type=Path, help="file to write, .safetensors; by default the shipped one")
    calibrate.add_argument("--pool", type=int, default=12_000, help="tiles of each pool (default: %(default)s)")
    calibrate.add_argument("--count", type=int, default=1000, help="null windows (default: %(default)s)")
    calibrate.add_argument("--workers", type=int, default=2, help="processes that draw (default: %(default)s)")
    args = parser.parse_args(arguments)
    try:
        return {"rules": _rules, "calibrate": _calibrate}[args.command](args)
    except (ContractError, ModelError, ValueError, OSError) as error:
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 2


def _rules(args: argparse.Namespace) -> int:
    from . import rules

    folder = args.folder or rules.FOLDER
    made = rules.files(load_contract(args.contract))
    stale = [name for name, text in made.items() if not _same(folder / name, text)]
    if args.check:
        print("\n".join(f"{folder / name} is not what the contract makes" for name in stale) or "up to date")
        return 1 if stale else 0
    for name in stale:
        (folder / name).write_text(made[name], encoding="utf-8")
        print(f"Wrote {folder / name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _calibrate(args: argparse.Namespace) -> int:
    from cvprod.serving.embedding import Embedder

    from .calibration import SHIPPED, make_baseline

    out = args.out or SHIPPED
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} does not exist; create it first")
    made = make_baseline(
        Embedder(args.model), pool=args.pool, count=args.count, workers=args.workers,
        note=lambda text: print(text, flush=True),
    )  # fmt: skip
    made.save(out)
    print(f"Wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
