"""`python -m cvprod.mlops prepare FOLDER`, `run FOLDER EVENT`, `serve`: the pipeline from a shell."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path


def main(words: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 something the caller can mend, 2 a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.mlops", description="From a drift to a new champion.")
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("prepare", help="make a site: data, registry with the shipped network, two events")
    made.add_argument("folder", type=Path)
    started = commands.add_parser("run", help="work on an event to its end; prints the decision as JSON")
    started.add_argument("folder", type=Path)
    started.add_argument("event")
    started.add_argument("--no-keys", action="store_true", help="effects without idempotency keys, to see what happens")
    started.add_argument("--no-lock", action="store_true", help="let two processes work on one event")
    commands.add_parser("serve", help="import once, then fork a process for each `run` (one JSON line each, stdin)")
    options = parser.parse_args(words)
    if options.command == "serve":
        return serve()
    try:
        if options.command == "prepare":
            from . import steps

            steps.prepare(options.folder)
        else:
            from . import pipeline

            found = pipeline.run(options.folder, options.event, keys=not options.no_keys, lock=not options.no_lock)
            print(json.dumps(found))
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def serve() -> int:
    """Answer commands on stdin until it ends: {"run": [words], "kill": "step:when", "log": file} or {"wait": pid}.

    Importing Dagster and MLflow and using them for the first time takes this process seconds, and a forked one nothing.
    Each child is a process like any other, with connections of its own, and killed as really as any.
    """
    rehearse()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        child = os.fork()
        if child == 0:
            os._exit(_child(asked))
        print(json.dumps({"pid": child}), flush=True)
    return 0


def rehearse() -> None:
    """Run the whole pipeline once on made-up data, so that everything that is loaded on first use is loaded."""
    import tempfile

    import numpy as np

    from . import pipeline, steps
    from .tiles import Embedded

    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (7, 96))

    def made(n: int) -> Embedded:
        labels = rng.integers(0, 7, n)
        return Embedded((centres[labels] + rng.normal(0, 0.3, (n, 96))).astype(np.float32), labels)

    sizes = {"reference": 200, "reference test": 200, "window": 480, "audit": 240}
    with tempfile.TemporaryDirectory() as scratch, Path(os.devnull).open("w") as nothing:
        steps.establish(
            Path(scratch) / "site", {name: made(n) for name, n in sizes.items()},
            rng.integers(0, 256, (14, 1, 96, 96)).astype(np.uint8), np.arange(14) % 7,
        )  # fmt: skip
        told, sys.stdout = sys.stdout, nothing  # stdout carries the answers
        try:
            found = pipeline.run(Path(scratch) / "site", "drift-1")
        finally:
            sys.stdout = told
    if found["decision"] != "promoted":
        raise RuntimeError(f"the rehearsal did not come to its end: {found}")


def _child(asked: dict) -> int:
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    from . import steps

    if asked.get("kill"):
        os.environ[steps.KILL] = asked["kill"]
    try:
        return main(asked["run"])
    except BaseException:
        import traceback

        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
