"""`python -m cvprod.rollout`: `check` a model before it is merged, or `serve` the gates to a roll-out controller."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cvprod import contract


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 passed or ended, 1 the candidate does not pass, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.rollout", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="may this model be merged?")
    check.add_argument("candidate", type=Path, help="card of the new model")
    check.add_argument("--stable", type=Path, required=True, help="card of the model that serves")
    check.add_argument("--tiles", type=int, default=2000, help="labelled tiles (default %(default)s)")
    check.add_argument("--margin", type=float, default=0.02, help="loss that is too much (default %(default)s)")
    serve = commands.add_parser("serve", help="gates over HTTP: pairs in, evidence and permission out")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=9100)
    options = parser.parse_args(arguments)
    return {"check": _check, "serve": _serve}[options.command](options)


def _check(options: argparse.Namespace) -> int:
    from cvprod import surface
    from cvprod.rollout.model_gate import judge
    from cvprod.serving.model import ModelError

    try:
        found = judge(options.stable, options.candidate, surface.tiles("test", options.tiles), margin=options.margin)
    except (ModelError, ValueError, OSError) as error:
        print(f"The candidate cannot be judged: {error}", file=sys.stderr)
        return 2
    print("\n".join(found.lines))
    print(f"accuracy {found.stable_accuracy:.2%} -> {found.candidate_accuracy:.2%} on {found.tiles} tiles")
    return 0 if found.passed else 1


def _serve(options: argparse.Namespace) -> int:
    from cvprod.rollout import gates, server
    from cvprod.serving.settings import authority

    limit = contract.load_contract().p99_latency_ms.limit / 1e3
    try:
        running = server.make_server(server.Bench(lambda: gates.standard(limit)), options.host, options.port)
    except (OSError, OverflowError) as error:
        print(f"--host {options.host} --port {options.port}: {getattr(error, 'strerror', error)}", file=sys.stderr)
        return 2
    # In a container this is process 1, which the kernel spares every signal that it has not asked for: a pod would be
    # killed only when its grace period is over. And in a shell's background SIGINT is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    host, port = running.server_address[:2]
    try:
        print(f"Gates at http://{authority(str(host), port)}", flush=True)
        running.serve_forever()
    except KeyboardInterrupt:
        running.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
