"""What a teacher is worth at the budget of the shipped student: several seeds, each with a teacher and without.

Both ways get the same tiles in the same order, the same steps and the same first weights. The defaults are the recipe
of the shipped student; with three seeds they take about twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from cvprod import measure
from cvprod.bench import UsageError, _records, check_output, write_output
from cvprod.models import BASELINE, Evaluation, card, evaluate, load, predictor
from cvprod.optimize import compare
from cvprod.optimize.distill import TrainingSet, ask, fit
from cvprod.optimize.pipeline import PipelineConfig, book_tiles
from cvprod.optimize.student import student

RECORD = Path(__file__).parent / "distillation.json"
LABELS, TEACHER = WAYS = ("labels only", "with teacher")
#: Where all are judged: the line as it is, and everything that half of the training tiles went through.
LINES = ("routine", "wide")


def study(config: PipelineConfig, seeds: int, *, workers: int | None = None, progress: bool = False) -> dict:
    """Train `seeds` pairs of students and judge them; returns plain numbers, as written by ``--json``.

    config: its tiles, steps, batch, rate and test tiles. workers: students that learn side by side, one thread each, by
    default one for each core. Accuracies and differences are shares.
    """
    raw = book_tiles("train", config.tiles, conditions=config.conditions)
    tests = {line: book_tiles("test", config.test_tiles, conditions=line) for line in LINES}
    answers = ask(predictor(load(BASELINE)), raw.images, progress=progress)
    lessons = {LABELS: TrainingSet(raw.images, raw.labels), TEACHER: TrainingSet(raw.images, raw.labels, answers)}

    def learn(way: str, seed: int) -> dict[str, Evaluation]:
        fit(pupils[way, seed], lessons[way], steps=config.steps, batch=config.batch, lr=config.lr, seed=seed)
        predict = predictor(pupils[way, seed])
        found = {line: evaluate(predict, test) for line, test in tests.items()}
        if progress:
            print(f"{way}, seed {seed}: " + ", ".join(f"{x.accuracy:.2%} {line}" for line, x in found.items()))
        return found

    pupils = {}
    for way, seed in itertools.product(WAYS, range(seeds)):
        torch.manual_seed(seed)
        pupils[way, seed] = student()
    with measure.threads(1), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        judged = dict(zip(pupils, pool.map(learn, *zip(*pupils, strict=True)), strict=True))
    rows = []
    for line, seed in itertools.product(LINES, range(seeds)):
        alone, taught = (judged[way, seed][line] for way in WAYS)
        gain, low, high = compare.difference(taught, alone)
        row = {"line": line, "seed": seed, LABELS: alone.accuracy, TEACHER: taught.accuracy}
        rows.append(row | {"difference": gain, "low": low, "high": high})
    recipe = {key: getattr(config, key) for key in ("tiles", "conditions", "steps", "batch", "lr", "test_tiles")}
    return {"teacher_sha256": card(BASELINE)["weights"]["sha256"], "recipe": recipe, "rows": rows}


def recorded() -> dict:
    """What `study` gave with the recipe of the shipped student. Raises WeightsError where the teacher has changed."""
    refusal = (
        "tells of another teacher than the one shipped. Measure again: python -m cvprod.bench "
        f"distillation --json {RECORD}"
    )
    return _records.read(RECORD, "teacher_sha256", card(BASELINE)["weights"]["sha256"], refusal)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = PipelineConfig()
    for option in ("tiles", "steps", "test_tiles"):
        parser.add_argument(f"--{option.replace('_', '-')}", type=int, default=getattr(default, option), metavar="N",
                            help="default: %(default)s")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="pairs of students (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here as well")


def run(args: argparse.Namespace) -> int:
    """Print a row for each seed; write the JSON file. Raises UsageError for what no student could learn from."""
    if args.seeds < 1:
        raise UsageError(f"--seeds must be at least 1, not {args.seeds}")
    try:
        config = PipelineConfig(tiles=args.tiles, steps=args.steps, test_tiles=args.test_tiles)
    except ValueError as error:
        raise UsageError(str(error)) from error
    check_output("--json", args.json)
    found = study(config, args.seeds, progress=True)
    for row in found["rows"]:
        print(
            f"{row['line']:<8} seed {row['seed']}: {row[LABELS]:.2%} with labels only, {row[TEACHER]:.2%} with a "
            f"teacher, {100 * row['difference']:+.2f} points ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
        )
    if args.json is not None:
        write_output("--json", args.json, json.dumps(found, indent=2) + "\n")
    return 0
