"""Baseline against every optimisation technique, one thread, batch 1, in one interleaved run.

The first row is the eager float32 baseline, the last one the pipeline's final model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from cvprod.bench import UsageError, check_output, mendable, write_output
from cvprod.models import WeightsError

COLUMNS = ("name", "p50_ms", "p99_ms", "size_bytes", "accuracy", "n_tiles")
DIFFERENCE = ("difference", "difference_low", "difference_high")  # of accuracy, to the baseline on the same tiles
LEAST_TILES = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's options."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as JSON")
    parser.add_argument("--tiles", type=int, default=2_002, help="test tiles for the accuracies (default 2002)")
    parser.add_argument("--repeats", type=int, default=200, help="timed calls of each candidate (default 200)")
    parser.add_argument(
        "--calibration", type=int, default=128, help="training tiles that set INT8 ranges (default 128)"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these techniques (and baseline and pipeline)")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the JSON; 0 when it ran."""
    from cvprod.optimize import compare
    from cvprod.optimize.pipeline import book_tiles

    wanted = {"baseline", "pipeline", *(args.only or compare.TECHNIQUES)}
    if unknown := sorted(wanted - set(compare.TECHNIQUES)):
        raise UsageError(f"unknown technique {', '.join(unknown)}; known: {', '.join(compare.TECHNIQUES)}")
    if args.tiles < 1 or args.repeats < 1 or args.calibration < 1:
        raise UsageError("--tiles, --repeats and --calibration must be at least 1")
    check_output("--json", args.json)
    if args.tiles < LEAST_TILES:
        _say(f"note: {args.tiles} tiles are too few to tell half a point; use {LEAST_TILES} or more for a claim")

    with mendable():
        test, calibration = book_tiles("test", args.tiles), book_tiles("train", args.calibration).images
    with tempfile.TemporaryDirectory() as folder:
        shop, candidates = compare.Workshop(folder, calibration), []
        for name in (name for name in compare.TECHNIQUES if name in wanted):
            _say(f"making {name}")
            try:
                candidates.append(shop.make(name))
            except WeightsError as error:
                raise UsageError(str(error)) from error
        # bfloat16 takes minutes on a CPU that has to emulate it; what claims are made of is judged on every tile.
        whole = dict.fromkeys(("baseline", "pipeline"), len(test))
        _say(f"latency of {len(candidates)} candidates, interleaved")
        timed = compare.race(candidates, test.images[:1], repeats=args.repeats)
        table = compare.judge(candidates, timed, test, tiles=whole, progress=_say)
    print(_text(table))
    if args.json:
        rows = table.reset_index().to_dict(orient="records")
        kept = [{key: row[key] for key in (*COLUMNS, *DIFFERENCE, "note")} for row in rows]
        write_output("--json", args.json, json.dumps(kept, indent=2) + "\n")
    return 0


def _text(table) -> str:
    """The table in fixed columns; "points" are those of accuracy against the baseline on the same tiles."""
    head = f"{'technique':<15}{'p50 ms':>9}{'p99 ms':>9}{'speed-up':>10}{'MB':>9}{'smaller':>9}"
    head += f"{'accuracy':>10}{'tiles':>7}{'points':>8}{'95 % interval':>18}  note"
    lines = [
        f"{row.Index:<15}{row.p50_ms:>9.3f}{row.p99_ms:>9.3f}{row.speedup:>9.1f}x{row.size_bytes / 1e6:>9.3f}"
        f"{row.shrink:>8.1f}x{row.accuracy:>10.2%}{row.n_tiles:>7}{row.difference * 100:>+8.2f}"
        f"{f'{row.difference_low * 100:+.2f} to {row.difference_high * 100:+.2f}':>18}  {row.note}"
        for row in table.itertuples()
    ]
    return "\n".join([head, "-" * len(head), *lines])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
