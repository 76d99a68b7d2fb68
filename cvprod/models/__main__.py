"""`python -m cvprod.models`: list, verify and train the shipped networks."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from cvprod.surface import SPLITS

from .data import cached_set
from .evaluation import evaluate, predictor
from .networks import NETWORKS, UnknownNetworkError
from .training import RECIPES, TOLERANCE, Recipe, train, with_options
from .weights import SIZE_LIMIT, WEIGHTS, WeightsError, card, check_folder, load_weights, shipped, total_size


def list_networks(folder: Path) -> int:
    """One line a network: what is shipped, by its card; nothing is loaded."""
    print(f"{'network':<20}{'parameters':>12}{'bytes':>12}{'accuracy':>10}{'recall':>9}{'rejects':>9}  trained")
    there = shipped(folder)
    for name in sorted(set(NETWORKS) | set(there)):
        try:
            content = card(name, folder=folder)
        except WeightsError:
            print(f"{name:<20}{'card damaged' if name in there else 'not shipped':>12}")
            continue
        seen = _routine(content)
        accuracy, recall, rejects = (
            _share(seen.get(metric)) for metric in ("accuracy", "defect_recall", "false_reject_rate")
        )
        print(
            f"{name:<20}{content['parameters']:>12,}{content['weights']['bytes']:>12,}"
            f"{accuracy:>10}{recall:>9}{rejects:>9}  {content.get('created', '-')}"
        )
    print(f"{total_size(folder) / 1e6:.1f} MB of weights, limit {SIZE_LIMIT / 1e6:.0f} MB")
    return 0


def _routine(content: dict) -> dict:
    """What a card says of the routine line; empty where it says nothing."""
    seen = content["metrics"].get("routine")
    return seen if isinstance(seen, dict) else {}


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _share(value: object) -> str:
    return f"{value:.2%}" if _is_share(value) else "-"


def verify(folder: Path, n: int) -> int:
    """Load every shipped file, test it on n tiles, compare with its card; 1 if any is not what its card says.

    The package's own folder must hold every network of the package. A folder in which nothing could be tested is a
    failure too. Raises ValueError for n below 1 and for a folder that is missing or empty.
    """
    there = set(shipped(folder))
    names = there | (set(NETWORKS) if folder.resolve() == WEIGHTS.resolve() else set())
    if not names:
        what = "holds no weights and no cards" if folder.is_dir() else "is no folder"
        raise ValueError(f"nothing to verify: {folder} {what}")
    test = cached_set(n, SPLITS["test"])  # the cards speak of generated tiles, wherever CVPROD_DATA points
    problems, tested = [], 0
    print(f"{'network':<20}{'sha256':>14}{'card':>9}{'now':>9}  95 % interval    verdict")
    for name in sorted(names):
        try:
            seen = evaluate(predictor(load_weights(name, folder=folder)), test)
            content = card(name, folder=folder)
        except UnknownNetworkError:
            print(f"{name:<20}{'-':>14}{'-':>9}{'-':>9}  {'-':<15}  skipped: its package registers it on import")
            continue
        except ValueError as error:  # a WeightsError, or logits that are no numbers
            problems.append(str(error) if isinstance(error, WeightsError) else f"{name}: {error}")
            print(f"{name:<20}{'-':>14}{'-':>9}{'-':>9}  {'-':<15}  {'DAMAGED' if name in there else 'MISSING'}")
            continue
        tested += 1
        promised = _routine(content).get("accuracy")
        low, high = seen.interval("accuracy")
        verdict = "ok"
        if not _is_share(promised):
            verdict = "NOTHING PROMISED"
            problems.append(f"{name}: its card has no metrics.routine.accuracy")
        elif high < promised - TOLERANCE:
            verdict = "WORSE THAN ITS CARD"
            problems.append(f"{name}: {seen.accuracy:.2%} on {seen.n} tiles, its card promises {promised:.2%}")
        line = f"{name:<20}{content['weights']['sha256'][:12]:>14}{_share(promised):>9}{seen.accuracy:>9.2%}"
        print(f"{line}  {f'{low:.2%}-{high:.2%}':<15}  {verdict}")
    if not tested and not problems:
        problems.append(f"no network of {folder} is known here, so nothing was verified")
    size = total_size(folder)
    if size > SIZE_LIMIT:
        problems.append(f"the weights take {size / 1e6:.1f} MB, more than {SIZE_LIMIT / 1e6:.0f} MB")
    print(f"{size / 1e6:.1f} MB of weights, limit {SIZE_LIMIT / 1e6:.0f} MB")
    print("\n".join(problems), file=sys.stderr) if problems else None
    return 1 if problems else 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code (0: well, 1: a failure, 130: interrupted). A wrong call exits with 2."""
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
        if not options.folder.is_dir():
            parser.error(f"--folder {options.folder} is no folder")
        return list_networks(options.folder)
    if options.command == "verify":
        try:
            return verify(options.folder, options.tiles)
        except (OSError, ValueError) as error:
            check.error(str(error))
    names = list(RECIPES) if options.all else options.names
    unknown = [name for name in names if name not in RECIPES]
    if not names or unknown:
        wrong = f"unknown network {', '.join(unknown)}" if unknown else "which network?"
        make.error(f"{wrong}; known: {', '.join(RECIPES)}")
    changes = {key: getattr(options, key) for key in Recipe.__dataclass_fields__}
    try:
        recipes = {name: with_options(RECIPES[name], **changes) for name in names}
    except ValueError as error:
        make.error(str(error))
    try:  # before the training, which takes minutes
        check_folder(options.folder)
    except OSError as error:
        parser.error(f"--folder {options.folder}: {error.strerror}")
    started = time.perf_counter()
    try:
        for name, recipe in recipes.items():
            print(train(name, recipe, folder=options.folder, force=options.force).message, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted in {name}: its shipped weights are as they were", file=sys.stderr)
        return 130
    except ValueError as error:  # an option that only the training itself can judge
        make.error(f"{name}: {error}")
    except (FloatingPointError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    print(f"{len(recipes)} trained in {(time.perf_counter() - started) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
