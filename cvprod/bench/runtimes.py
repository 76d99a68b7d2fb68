"""One network in every CPU runtime: precision, latency, size, accuracy and agreement with PyTorch, in one run.

Latencies are interleaved within a thread count: compare them with each other, not with another run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from cvprod import measure, models
from cvprod.bench import UsageError, check_output, mendable, write_output
from cvprod.optimize.zoo import STUDENTS, load_student
from cvprod.runtimes import parity
from cvprod.runtimes.interface import MissingRuntimeError
from cvprod.surface import tiles

COLUMNS = ("name", "precision", "threads", "p50_ms", "size_bytes", "accuracy", "agreement", "max_abs_diff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--network", default=models.BASELINE, help="a shipped network (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, machine and versions here")
    parser.add_argument("--tiles", type=int, default=400, help="test tiles for accuracy and agreement")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=100, help="timed calls of each runtime")
    parser.add_argument("--only", nargs="+", choices=tuple(parity.LINEUP), metavar="NAME", help="a part of the line-up")


def run(args: argparse.Namespace) -> int:
    """Print the table; 1 if an FP32 runtime disagrees with PyTorch on any tile or an INT8 one on more than 2 %."""
    if min(args.tiles, args.repeats, *args.threads) < 1:
        raise UsageError("--tiles, --repeats and --threads must be at least 1")
    check_output("--json", args.json)
    try:
        model = load_student(args.network) if args.network in STUDENTS else models.load(args.network)
    except (models.UnknownNetworkError, models.WeightsError) as error:
        raise UsageError(f"--network: {error}") from error
    wanted = {parity.REFERENCE, *(args.only or parity.LINEUP)}
    lineup = {name: entry for name, entry in parity.LINEUP.items() if name in wanted}
    with mendable():
        test, calibration = tiles("test", args.tiles), tiles("train", 128).images
    rows = measured(model, lineup, test, calibration, threads=args.threads, repeats=args.repeats)
    show(rows)
    if args.json:
        document = {"network": args.network, "machine": measure.machine(), "rows": [row.as_dict() for row in rows]}
        write_output("--json", args.json, json.dumps(document, indent=2) + "\n")
    wrong = failures(rows)
    print("\n".join(wrong) or "Every runtime keeps its promise.", file=sys.stderr if wrong else sys.stdout)
    return bool(wrong)


def measured(model, lineup: dict, test, calibration: np.ndarray, *, threads: list[int], repeats: int) -> list:
    """Convert once, then compare at each number of threads; logits are computed with one thread."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = parity.convert_all(model, folder, calibration, lineup)
            logits = parity.answers(parity.load_all(files, 1, lineup), test)
        except MissingRuntimeError as error:
            raise UsageError(str(error)) from error
        rows = []
        for n in threads:
            runs = parity.load_all(files, n, lineup)
            rows += [parity.rounded(row) for row in parity.compare(runs, logits, test, repeats=repeats)]
        return rows


def failures(rows: list[parity.Result]) -> list[str]:
    """One sentence for every row that breaks a promise."""
    floors = {"fp32": 1.0, "fp16": 0.98, "bf16": 0.98}
    return [
        f"{row.name}: agrees with PyTorch on {row.agreement:.1%} of {row.n_tiles} tiles, promised {floor:.0%}"
        for row in rows
        if row.agreement < (floor := floors.get(row.precision, 0.98))
    ]


def show(rows: list[parity.Result]) -> None:
    """Print the rows as a table."""
    print("  ".join(f"{column:>12}" if i else f"{column:<22}" for i, column in enumerate(COLUMNS)))
    for row in rows:
        print(
            f"{row.name:<22}  {row.precision:>12}  {row.threads:>12}  {row.p50_ms:>12.3f}  {row.size_bytes:>12,}  "
            f"{row.accuracy:>12.2%}  {row.agreement:>12.2%}  {row.max_abs_diff:>12.2e}"
        )
