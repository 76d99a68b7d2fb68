"""Attacks on the deployed model, through its API, without and with each defence.

The service is started for each defence; tiles go in as PNG (as JPEG where that is the defence), and accuracy is counted
at the other end. `queries` is what the attacker asked the service for before the attacked tiles themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cvprod import measure, models
from cvprod.bench import FailureError, UsageError, check_output, mendable, write_output
from cvprod.optimize.zoo import load_student
from cvprod.security import attacks, extraction, harden
from cvprod.security.api import ApiError, Client
from cvprod.stack.service import Service
from cvprod.surface import TileSet, make_set, tiles

#: Words of the service's command line for each defence; "jpeg" is a matter of the client.
DEFENCES: dict[str, list[object]] = {
    "none": [],
    "jpeg": [],
    "rounded": ["--output", "rounded"],
    "top1": ["--output", "top1"],
    "adversarial training": ["--model", harden.serving_card()],
}
ATTACKER_SEED = 77  # the attacker's own pictures: no tile of any split
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Row:
    """One attack against one defence. Accuracies are shares of tiles that the service gives their true class."""

    attack: str
    epsilon: float
    defence: str
    clean_accuracy: float
    robust_accuracy: float
    queries: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, machine and versions here")
    parser.add_argument("--tiles", type=int, default=70, help="test tiles (default %(default)s)")
    parser.add_argument("--epsilons", type=float, nargs="+", default=[2.0, 4.0], help="in grey levels (default 2 4)")
    parser.add_argument("--steps", type=int, default=10, help="of PGD (default %(default)s)")
    parser.add_argument("--queries", type=int, default=700, help="to learn the copy from (default %(default)s)")
    parser.add_argument("--copy-steps", type=int, default=150, help="training steps of the copy (default %(default)s)")
    parser.add_argument("--defences", nargs="+", choices=tuple(DEFENCES), default=list(DEFENCES), metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Print a line for each row as it comes; 1 if the service refused or did not start."""
    if args.tiles < 7 or min(args.steps, args.queries, args.copy_steps) < 1:
        raise UsageError(
            "--tiles must be at least 7, one of each class; --steps, --queries and --copy-steps at least 1"
        )
    if not all(0 < epsilon <= 64 for epsilon in args.epsilons):
        raise UsageError("--epsilons are grey levels, above 0 and at most 64")
    check_output("--json", args.json)
    with mendable():
        test, own = tiles("test", args.tiles), make_set(args.queries, ATTACKER_SEED, workers=2)
    rows = []
    print(f"{'attack':<14}{'epsilon':>8}  {'defence':<22}{'clean':>8}{'attacked':>10}{'queries':>9}")
    try:
        with measure.threads(1):
            for row in measured(test, own, args):
                rows.append(row)
                print(f"{row.attack:<14}{row.epsilon:>8g}  {row.defence:<22}{row.clean_accuracy:>8.1%}"
                      f"{row.robust_accuracy:>10.1%}{row.queries:>9,}", flush=True)  # fmt: skip
    except (RuntimeError, ApiError) as error:
        raise FailureError(f"the service: {error}") from error
    if args.json:
        document = {"n_tiles": len(test), "machine": measure.machine(), "rows": [asdict(row) for row in rows]}
        write_output("--json", args.json, json.dumps(document, indent=2) + "\n")
    print(f"{len(rows)} rows on {len(test)} tiles each; an accuracy is known to about "
          f"{0.98 / len(test) ** 0.5:.0%}.", file=sys.stderr)  # fmt: skip
    return 0


def measured(test: TileSet, own: TileSet, args: argparse.Namespace) -> Iterator[Row]:
    """Every attack against every chosen defence."""
    pgd = partial(attacks.in_batches, attacks.pgd, steps=args.steps)
    fgsm = partial(attacks.in_batches, attacks.fgsm)
    for defence in args.defences:
        weights = harden.load_robust() if defence == "adversarial training" else load_student(harden.START)
        quality = JPEG_QUALITY if defence == "jpeg" else None
        with (
            Service("--workers", 1, "--latency-budget-ms", 1000, *DEFENCES[defence]) as service,
            Client(service.port, quality=quality) as client,
        ):
            clean = client.accuracy(test.images, test.labels)

            def row(name: str, epsilon: float, made: np.ndarray, queries: int = 0) -> Row:
                robust = client.accuracy(made, test.labels)
                return Row(name, epsilon, defence, clean, robust, queries)  # noqa: B023

            for epsilon in args.epsilons:
                yield row("noise", epsilon, attacks.noise(test.images, epsilon))
                yield row("fgsm", epsilon, fgsm(weights, test.images, test.labels, epsilon))
                yield row("pgd", epsilon, pgd(weights, test.images, test.labels, epsilon))
            if defence in ("none", "rounded", "top1"):
                yield from _copied(client, own, test, args, pgd, row)
            if defence == "none":
                stranger = models.load("mobilenet_v3_small")
                for epsilon in args.epsilons:
                    yield row("pgd, surrogate", epsilon, pgd(stranger, test.images, test.labels, epsilon))


def _copied(
    client: Client, own: TileSet, test: TileSet, args: argparse.Namespace, pgd: Callable[..., np.ndarray],
    row: Callable[..., Row],
) -> Iterator[Row]:  # fmt: skip
    """Learn a copy from the answers, attack that, and send what came of it."""
    before = client.queries
    told = client.inspect(own.images)
    spent = client.queries - before
    copy = extraction.copy_model(own.images, told, start=load_student("student_nas"), steps=args.copy_steps)
    for epsilon in args.epsilons:
        yield row("pgd, copy", epsilon, pgd(copy, test.images, test.labels, epsilon), spent)
