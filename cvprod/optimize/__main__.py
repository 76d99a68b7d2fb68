"""`python -m cvprod.optimize`: rebuild or verify what is shipped; try the techniques on a network of your own.

`compare MODEL` and `prune MODEL` take the path of an .onnx file (compare), or module:factory for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from cvprod import measure
from cvprod.files import write_atomic
from cvprod.models import WeightsError, evaluate, predictor
from cvprod.models import own as networks
from cvprod.models.data import cached_set
from cvprod.models.own import NetworkError
from cvprod.models.training import TOLERANCE
from cvprod.surface import SPLITS

from . import fuse, own, prune, zoo
from .fuse import onnx_predict
from .pipeline import PipelineConfig


def verify(n: int) -> int:
    """Test every shipped file on n tiles against its card; 1 if one is damaged or worse."""
    test, failed = cached_set(n, SPLITS["test"]), False  # generated: the cards speak of those
    for name in (*zoo.STUDENTS, zoo.PIPELINE):
        try:
            if name == zoo.PIPELINE:
                predict, card = onnx_predict(zoo.pipeline_path()), zoo.pipeline_card()
            else:
                predict, card = predictor(zoo.load_student(name)), zoo.card(name, folder=zoo.WEIGHTS)
        except WeightsError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        seen, promised = evaluate(predict, test), card["metrics"]["routine"]["accuracy"]
        good = seen.interval("accuracy")[1] >= promised - TOLERANCE
        failed |= not good
        print(f"{name:<16} card {promised:.2%}, now {seen.accuracy:.2%} on {seen.n} tiles: {'ok' if good else 'WORSE'}")
    return int(failed)


def compare(options: argparse.Namespace) -> int:
    """Every technique that needs no training, on somebody's network."""
    try:
        network, examples, calibration = networks.opened(options)
        print(networks.describe(network, examples))
        with tempfile.TemporaryDirectory() as folder:
            made, left_out = own.candidates(network, calibration, folder, ratios=options.ratios)
            table = own.board(made, examples, repeats=options.repeats)
    except NetworkError as error:
        print(error, file=sys.stderr)
        return 1
    print(networks.report(table, left_out))
    return 0


def prune_one(options: argparse.Namespace) -> int:
    """Take channels out of somebody's PyTorch network and write what is left as ONNX."""
    try:
        if options.out.suffix.lower() != ".onnx" or options.out.is_dir():  # a slip must not cost somebody's .py file
            raise NetworkError(f"--out {options.out}: name a file that ends in .onnx")
        network = networks.open_network(options.model, input=options.input)
        if network.module is None:
            raise NetworkError(f"{options.model}: channels are taken out of a PyTorch module; give module:factory")
        smaller = prune.channels(network.module, options.ratio, example=network.example)
        before, after = (measure.parameters(net) for net in (network.module, smaller))
        with tempfile.TemporaryDirectory() as folder:  # what was there before stays until this is whole
            written = fuse.export(smaller, Path(folder) / "pruned.onnx", example=network.example)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(options.out, written.read_bytes())
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{network.name}: {before:,} -> {after:,} parameters, written to {options.out}. Train it on before you use it."
    )
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status (0: well, 1: a failure, 130: interrupted). A wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.optimize", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("train", help="distil, prune, tune and quantise again, and ship the results")
    for option in ("tiles", "steps", "tune_steps", "batch", "threads", "seed"):
        default = getattr(PipelineConfig(), option)
        make.add_argument(f"--{option.replace('_', '-')}", type=int, default=default, help=f"default {default}")
    make.add_argument(
        "--search", action="store_true", help="search for the widths of student_nas again, by latency here"
    )
    check = commands.add_parser("verify", help="test every shipped file against its card")
    check.add_argument("--tiles", type=int, default=1_001, help="test tiles (default 1001)")
    make.add_argument("--force", action="store_true", help="ship even what is worse than what is shipped")
    try_all = commands.add_parser("compare", help="time and compare the techniques on a network of your own")
    networks.add_arguments(try_all)
    try_all.add_argument(
        "--ratios", type=float, nargs="*", default=list(own.RATIOS), help="shares of channels to prune"
    )
    cut = commands.add_parser("prune", help="take channels out of a PyTorch network of your own")
    cut.add_argument("model", help="module:factory")
    cut.add_argument("--input", metavar="CxHxW", help="shape of one example")
    cut.add_argument("--ratio", type=float, default=0.5, help="share of the channels (default %(default)s)")
    cut.add_argument("--out", type=Path, default=Path("pruned.onnx"), help="default %(default)s")
    options = parser.parse_args(arguments)
    if options.command in ("compare", "prune"):
        return compare(options) if options.command == "compare" else prune_one(options)
    if options.command == "verify":
        if options.tiles < 1:
            parser.error(f"--tiles must be at least 1, not {options.tiles}")
        return verify(options.tiles)
    from .train import train_all

    names = ("tiles", "steps", "tune_steps", "batch", "threads", "seed")
    try:
        config = replace(PipelineConfig(), **{name: getattr(options, name) for name in names})
    except ValueError as error:
        make.error(str(error))
    try:
        train_all(config, anew=options.search, force=options.force)
    except KeyboardInterrupt:
        print("interrupted: what was not reported as written is as it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
