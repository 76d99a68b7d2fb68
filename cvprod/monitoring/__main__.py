"""``python -m cvprod.monitoring``: `rules` writes Prometheus rules from the contract, `calibrate` makes a baseline,
`watch` judges what a service records and tells Prometheus.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cvprod.contract import ContractError, load_contract
from cvprod.serving.card import ModelError
from cvprod.serving.settings import DEFAULT_MODEL, authority


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
    calibrate.add_argument("--pool", type=int, default=30_000, help="tiles of each pool (default: %(default)s)")
    calibrate.add_argument("--count", type=int, default=1000, help="null windows (default: %(default)s)")
    calibrate.add_argument("--workers", type=int, default=2, help="processes that draw (default: %(default)s)")
    watch = commands.add_parser("watch", help="judge what a service records, export it to Prometheus")
    watch.add_argument("--records", type=Path, required=True, metavar="FOLDER", help="the service's --records")
    watch.add_argument("--port", type=int, default=9109, help="where Prometheus asks; 0 takes a free one")
    watch.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    watch.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="between two looks")
    watch.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="card of the model that serves")
    watch.add_argument("--baseline", type=Path, help="by default the shipped one")
    watch.add_argument("--per-week", type=float, default=2.0, metavar="N", help="false alarms that are borne")
    args = parser.parse_args(arguments)
    try:
        return {"rules": _rules, "calibrate": _calibrate, "watch": _watch}[args.command](args)
    except KeyboardInterrupt:
        return 0
    except (ContractError, ModelError, ValueError, OSError, OverflowError) as error:  # the last: --port 99999
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 2


def _rules(args: argparse.Namespace) -> int:
    from . import rules

    folder = args.folder or rules.FOLDER
    made = rules.files(load_contract(args.contract, needs=("p99_latency_ms", "defect_recall", "false_reject_rate")))
    stale = [name for name, text in made.items() if not _same(folder / name, text)]
    if args.check:
        print("\n".join(f"{folder / name} is not what the contract makes" for name in stale) or "up to date")
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (folder / name).write_text(made[name], encoding="utf-8")
        print(f"Wrote {folder / name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _calibrate(args: argparse.Namespace) -> int:
    from cvprod.serving.embedding import Embedder

    from .calibration import SHIPPED, make_baseline

    if min(args.pool, args.count, args.workers) < 1:  # before the tiles are made, which takes minutes
        raise ValueError("--pool, --count and --workers must be at least 1")
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


def _watch(args: argparse.Namespace) -> int:
    import signal
    import threading

    from cvprod.serving.card import read

    from .calibration import SHIPPED, load_baseline
    from .monitor import Monitor, serve
    from .served import Served

    if not args.records.is_dir():
        raise ValueError(f"{args.records} is no folder: name the one that the service writes its records to")
    card, _ = read(args.model)
    baseline = load_baseline(args.baseline or SHIPPED, model=card.sha256)
    thresholds = baseline.thresholds(load_contract(), false_alarms_per_week=args.per_week)
    monitor, served, ended = Monitor(baseline, thresholds), Served(args.records), threading.Event()
    port, stop = serve(monitor.metrics, args.port, args.host)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(f"Watching {args.records}, listening on http://{authority(args.host, port)}", flush=True)
    try:
        while not ended.wait(args.every):
            if (sample := served.new()) is not None:
                monitor.take(sample)
            labels, said = served.labels()
            if len(labels):
                monitor.audit(labels, said)
    finally:
        stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
