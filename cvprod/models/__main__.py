"""`python -m cvprod.models`: list, verify and train the shipped networks."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from cvprod.surface import tiles

from .evaluation import evaluate, predictor
from .networks import NETWORKS, UnknownNetworkError
from .training import RECIPES, TOLERANCE, Recipe, train, with_options
from .weights import SIZE_LIMIT, WEIGHTS, WeightsError, card, load_weights, shipped, total_size


def list_networks(folder: Path) -> int:
    """One line a network: what is shipped, by its card; nothing is loaded."""
    print(f"{'network':<20}{'parameters':>12}{'bytes':>12}{'accuracy':>10}{'recall':>9}{'rejects':>9}  trained")
    for name in sorted(set(NETWORKS) | set(shipped(folder))):
        try:
            content = card(name, folder=folder)
        except WeightsError:
            print(f"{name:<20}{'not shipped':>12}")
            continue
        seen = content["metrics"]["routine"]
        print(
            f"{name:<20}{content['parameters']:>12,}{content['weights']['bytes']:>12,}{seen['accuracy']:>10.2%}"
            f"{seen['defect_recall']:>9.2%}{seen['false_reject_rate']:>9.2%}  {content['created']}"
        )
    print(f"{total_size(folder) / 1e6:.1f} MB of weights, limit {SIZE_LIMIT / 1e6:.0f} MB")
    return 0


def verify(folder: Path, n: int) -> int:
    """Load every shipped file, test it on n tiles, compare with its card; 1 if any is not what its card says."""
    test = tiles("test", n, workers=2)
    problems = []
    print(f"{'network':<20}{'sha256':>14}{'card':>9}{'now':>9}  95 % interval    verdict")
    for name in shipped(folder):
        try:
            seen = evaluate(predictor(load_weights(name, folder=folder)), test)
        except UnknownNetworkError:
            print(f"{name:<20}{'-':>14}{'-':>9}{'-':>9}  {'-':<15}  skipped: its package registers it on import")
            continue
        except WeightsError as error:
            problems.append(str(error))
            print(f"{name:<20}{'-':>14}{'-':>9}{'-':>9}  {'-':<15}  DAMAGED")
            continue
        content = card(name, folder=folder)
        promised = content["metrics"]["routine"]["accuracy"]
        low, high = seen.interval("accuracy")
        good = high >= promised - TOLERANCE
        if not good:
            problems.append(f"{name}: {seen.accuracy:.2%} on {n} tiles, its card promises {promised:.2%}")
        line = f"{name:<20}{content['weights']['sha256'][:12]:>14}{promised:>9.2%}{seen.accuracy:>9.2%}"
        print(f"{line}  {f'{low:.2%}-{high:.2%}':<15}  {'ok' if good else 'WORSE THAN ITS CARD'}")
    size = total_size(folder)
    if size > SIZE_LIMIT:
        problems.append(f"the weights take {size / 1e6:.1f} MB, more than {SIZE_LIMIT / 1e6:.0f} MB")
    print(f"{size / 1e6:.1f} MB of weights, limit {SIZE_LIMIT / 1e6:.0f} MB")
    print("\n".join(problems), file=sys.stderr) if problems else None
    return 1 if problems else 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.models", description=__doc__)
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="of the weights (default: the package's own)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is shipped, by the model cards")
    check = commands.add_parser("verify", help="load and test every shipped file")
    check.add_argument("--tiles", type=int, default=1000, help="test tiles (default 1000)")
    make = commands.add_parser("train", help="train one network, or all, and ship it unless it is worse")
    make.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(RECIPES)}")
    make.add_argument("--all", action="store_true", help="every network")
    make.add_argument("--force", action="store_true", help="ship even if it is worse than what is shipped")
    for option, kind in {
        "tiles": int, "epochs": int, "batch": int, "lr": float, "weight-decay": float, "smoothing": float,
        "patience": int, "polish": int, "precision": str, "strength": float, "conditions": str, "seed": int,
    }.items():  # fmt: skip
        make.add_argument(f"--{option}", type=kind, help=f"default {getattr(Recipe(), option.replace('-', '_'))}")
    make.add_argument("--grow", action=argparse.BooleanOptionalAction, help="smaller pictures in the first epochs")
    options = parser.parse_args(arguments)
    if options.command == "list":
        return list_networks(options.folder)
    if options.command == "verify":
        return verify(options.folder, options.tiles)
    names = list(RECIPES) if options.all else options.names
    unknown = [name for name in names if name not in RECIPES]
    if not names or unknown:
        wrong = f"unknown network {', '.join(unknown)}" if unknown else "which network?"
        make.error(f"{wrong}; known: {', '.join(RECIPES)}")
    changes = {key: getattr(options, key) for key in Recipe.__dataclass_fields__}
    started = time.perf_counter()
    try:
        for name in names:
            recipe = with_options(RECIPES[name], **changes)
            print(train(name, recipe, folder=options.folder, force=options.force).message, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted in {name}: its shipped weights are as they were", file=sys.stderr)
        return 130
    print(f"{len(names)} trained in {(time.perf_counter() - started) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
