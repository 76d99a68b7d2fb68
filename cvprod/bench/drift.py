"""Which detector sees which change of the line: AUC, delay and false alarms a week, dial by dial.

Every window is made of tiles that no other window, no reference and no threshold has seen. What the command prints is
what chapter 8 shows on fewer windows.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cvprod.bench import UsageError, check_output, mendable, write_output
from cvprod.contract import load_contract
from cvprod.measure import wilson
from cvprod.monitoring.calibration import SHIPPED, WINDOW, load_baseline, score_all
from cvprod.monitoring.dials import DIALS, STRENGTHS, draw_all
from cvprod.monitoring.driftmap import DriftMap, jobs, measure, seen
from cvprod.monitoring.sample import Sample, sample
from cvprod.serving.embedding import Embedder
from cvprod.serving.settings import DEFAULT_MODEL

FIELDS = ("dial", "severity", "detector", "auc", "delay_tiles", "false_alarms_per_week")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here as well")
    parser.add_argument("--windows", type=int, default=20, metavar="N", help="of each setting (default: %(default)s)")
    parser.add_argument(
        "--null", type=int, default=0, metavar="N",
        help="fresh null windows against which the stated rate is checked once more (500 draw 100,000 tiles)",
    )  # fmt: skip
    parser.add_argument("--dials", nargs="+", choices=tuple(DIALS), default=tuple(DIALS), help="only these")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=8000, metavar="N", help="of the tiles (default: %(default)s)")
    parser.add_argument("--baseline", type=Path, default=SHIPPED, metavar="FILE", help="reference and null scores")


def run(args: argparse.Namespace) -> int:
    """Print the map; write the rows. Raises UsageError for what cannot be started."""
    if args.windows < 1 or args.workers < 1 or args.null < 0 or args.seed < 0:
        raise UsageError("--windows and --workers are at least 1, --null and --seed not negative")
    check_output("--json", args.json)
    with mendable("--baseline"):
        embedder = Embedder(DEFAULT_MODEL)
        baseline = load_baseline(args.baseline, model=embedder.card.sha256)
        thresholds = baseline.thresholds(load_contract())
    tiles = args.windows * WINDOW
    wanted = {("none", "none"): ("none", 0.0, max(tiles, 2000), args.seed)}
    wanted |= jobs(tiles, args.seed + 1, args.dials)
    samples: dict[tuple[str, str], Sample] = {}
    for name, job in wanted.items():
        print(f"{' '.join(name)}: {job[2]} tiles", file=sys.stderr, flush=True)
        samples[name] = sample(embedder, *draw_all([job], workers=args.workers)[0])
    found = measure(baseline, thresholds, samples, count=args.windows, seed=args.seed)
    cells = [cell for cell in found.cells if cell.dial in args.dials]
    print(report(found, args.dials))
    print(rate_line("stated rate on the baseline's own check windows", thresholds, baseline.check))
    if args.null:
        fresh = []
        for first in range(0, args.null, 10):
            job = ("none", 0.0, min(10, args.null - first) * WINDOW, args.seed + 1000 + first)
            part = sample(embedder, *draw_all([job], workers=args.workers)[0])
            fresh += [part[i : i + WINDOW] for i in range(0, len(part), WINDOW)]
        print(rate_line("on fresh, disjoint windows", thresholds, score_all(baseline.detectors(), fresh)))
    if args.json is not None:
        rows = [{name: asdict(cell)[name] for name in FIELDS} for cell in cells]
        write_output("--json", args.json, json.dumps(rows, indent=1) + "\n")
    return 0


def rate_line(what: str, thresholds, scores: np.ndarray) -> str:
    """False alarms of all detectors together on null windows, with their interval, beside the stated number."""
    hits, count = int(thresholds.over(scores).any(1).sum()), len(scores)
    low, high = (end * thresholds.windows_per_week for end in wilson(hits, count))
    return (
        f"{what}: {hits} of {count} windows, {hits / count * thresholds.windows_per_week:.1f} alarms a week "
        f"({low:.1f} to {high:.1f}); stated: {thresholds.stated:g}"
    )


def report(found: DriftMap, dials) -> str:
    """The map as text: AUC of each detector, and the accuracy beside it."""
    detectors = list(dict.fromkeys(cell.detector for cell in found.cells))
    lines = [f"{'dial':10} {'strength':9} {'accuracy':>9} " + " ".join(f"{name:>12}" for name in detectors)]
    for (dial, strength), share in found.accuracy.items():
        if dial not in dials:
            continue
        row = []
        for name in detectors:
            cell = found.at(dial, strength, name)
            delay = "-" if cell.delay_tiles is None else f"{cell.delay_tiles:.0f}"
            row.append(f"{cell.auc:6.2f}{delay:>6}")
        lines.append(f"{dial:10} {strength:9} {share.estimate:>9.1%} " + " ".join(row))
    lines.append("each: AUC, then sampled tiles (labels, for errors) until the alarm; -: none came")
    unseen = [d for d in dials if DIALS[d].concept is False and d != "none" and not seen(found.cells, d)]
    lines.append(f"not seen at its strong severity: {', '.join(unseen) or 'none'} ({', '.join(STRENGTHS)})")
    return "\n".join(lines)
