"""What a million tiles costs in three clouds, by the call and at the line, from this machine's own throughput.

The service is started on two workers and loaded until it is full, then with its share of the line's rows for the p99;
the function is started as Lambda would start it. Those speeds and the price list (cvprod/costs/prices.yaml, or the one
that $CVPROD_PRICES names) give a row for each option and utilisation. It is judged by the contract's limits that depend
on the place: latency, throughput and cost, with no work taken away half-way and no picture outside Europe. GPUs and Arm
are not in it: their speed cannot be measured here (chapter 11 computes what they would have to reach).
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cvprod import contract as contracts
from cvprod import measure
from cvprod.bench import FailureError, UsageError, check_output, mendable, write_output
from cvprod.bench.serving import WORKERS, make_pictures
from cvprod.costs.options import BUSY, Option, Plan, Speed, Workload, offers, plan, price_date, recommend
from cvprod.costs.prices import PriceError, Prices, load_prices
from cvprod.stack.program import until

UTILISATIONS = (0.05, 0.1, 0.25, 0.5, BUSY, 1.0)
BATCH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write speed, rows and recommendation here")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="another price list")
    parser.add_argument("--speed", type=Path, metavar="FILE", help="take the speeds from an earlier --json file")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (default %(default)s)")
    parser.add_argument(
        "--utilisation", type=float, nargs="+", default=list(UTILISATIONS), metavar="SHARE",
        help="shares of the time for which a machine is busy (default %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print the table and the recommendation; 1 where no option keeps the contract."""
    check_output("--json", args.json)
    if args.seconds <= 0 or not all(0 < share <= 1 for share in args.utilisation):
        raise UsageError("--seconds must be positive, and each --utilisation above 0 and at most 1")
    try:
        prices = load_prices(args.prices)
    except PriceError as error:
        raise UsageError(str(error)) from error
    limits = contracts.load_contract()
    speed = read_speed(args.speed) if args.speed else measure_speed(limits, args.seconds)
    rows = table(prices, speed, limits, args.utilisation)
    best = recommend(plans(prices, speed, limits))
    show(rows, best, prices)
    if args.json:
        document = {
            "machine": measure.machine(), "speed": asdict(speed), "prices": str(prices.path.name),
            "usd_in_eur": prices["usd_in_eur"].value, "rows": rows,
            "recommended": None if best is None else recommended(best, prices),
        }  # fmt: skip
        write_output("--json", args.json, json.dumps(document, indent=2) + "\n")
    return int(best is None)


def line(limits: contracts.Contract, speed: Speed) -> Workload:
    """The inspection of the line, as the contract has it: rows of tiles at full speed, all hours of production."""
    return Workload(
        "the line", limits.tiles_per_s.limit, 1.0, limits.line.hours_per_year, limits.p99_latency_ms.limit,
        limits.cost_per_million_tiles_eur.limit, together=limits.line.tiles_across, machines=speed.machines,
    )  # fmt: skip


def plans(prices: Prices, speed: Speed, limits: contracts.Contract) -> list[Plan]:
    """Every option, sized for the line."""
    return [plan(option, line(limits, speed), speed.tile_bytes) for option in offers(prices, speed)]


def table(prices: Prices, speed: Speed, limits: contracts.Contract, utilisations: list[float]) -> list[dict]:
    """The rows: option, provider, region, utilisation, usd_per_million, meets_contract, price_date."""
    rows = []
    for sized in plans(prices, speed, limits):
        option = sized.option
        for share in utilisations:
            eur = option.per_million(share)
            kept = not set(sized.broken) - {"too dear"} and eur <= limits.cost_per_million_tiles_eur.limit
            rows.append({
                "option": option.name, "provider": option.provider, "region": option.region or "any",
                "utilisation": share, "usd_per_million": round(prices.usd(eur), 6),
                "meets_contract": kept and (share <= BUSY or option.kind == "function") and share <= option.baseline,
                "price_date": price_date(prices, option),
            })  # fmt: skip
    return rows


def recommended(best: Plan, prices: Prices) -> dict:
    """The recommendation as it stands in the JSON file."""
    option: Option = best.option
    return {
        "option": option.name, "provider": option.provider, "region": option.region, "units": best.units,
        "eur_per_year": round(best.eur_per_year, 2), "usd_per_million": round(prices.usd(best.eur_per_million), 6),
        "price_date": price_date(prices, option),
    }  # fmt: skip


def show(rows: list[dict], best: Plan | None, prices: Prices) -> None:
    """Print the rows as a table, then what to take."""
    columns = (("option", 28), ("provider", 9), ("region", 19), ("utilisation", 12), ("usd_per_million", 16))
    print("".join(f"{name:<{width}}" for name, width in columns) + "meets_contract  price_date")
    for row in rows:
        cells = "".join(f"{row[name]:<{width}}" for name, width in columns)
        print(f"{cells}{'yes' if row['meets_contract'] else 'no':<16}{row['price_date']}")
    if late := prices.overdue():
        print(f"{len(late)} prices are overdue for review: python -m cvprod.costs refresh --check")
    if best is None:
        print("No option keeps the contract on this machine.")
    else:
        o = best.option
        print(f"Cheapest that keeps the contract: {best.units} x {o.name} ({o.provider}, {o.region}), "
              f"{best.eur_per_year:.2f} EUR a year, {best.eur_per_million:.4f} EUR a million tiles.")  # fmt: skip


# --- the reader's own speed --------------------------------------------------------------------------------


def read_speed(path: Path) -> Speed:
    """The speeds in an earlier result. Raises UsageError."""
    with mendable("--speed"):
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or not isinstance(data.get("speed"), dict):
            raise UsageError(f"--speed {path}: no result of this command (it has no 'speed')")
        try:
            found = data["speed"] | {"call_ms": {int(n): float(ms) for n, ms in data["speed"]["call_ms"].items()}}
            return Speed(**found)
        except (KeyError, TypeError, AttributeError):
            raise UsageError(f"--speed {path}: its 'speed' is not complete; measure again") from None


def measure_speed(limits: contracts.Contract, seconds: float = 3.0) -> Speed:
    """Start service and function, and time them. Raises FailureError where one of them does not start."""
    with tempfile.TemporaryDirectory(prefix="cvprod-cost-") as folder:
        jpegs = [path.read_bytes() for path in make_pictures(Path(folder), BATCH)]
    try:
        return Speed(**measure_service(jpegs, limits, seconds), **measure_function(jpegs))
    except RuntimeError as error:
        raise FailureError(str(error)) from error


def measure_service(jpegs: list[bytes], limits: contracts.Contract, seconds: float) -> dict[str, float]:
    """Fields of `Speed` that the service decides.

    tiles_per_s: answered to eight callers that never pause. p99_ms: of the tiles of the line, which come in rows, when
    `machines` share each row: as many as keep all below `BUSY`, and up to two more if the limit needs them. Bytes of an
    answer and of a line in the log.
    """
    from cvprod.stack.service import Service
    from cvprod.traffic import http_load, load

    with Service("--workers", WORKERS, "--latency-budget-ms", 1000) as service:
        address = f"{service.address}/v1/inspect"
        http_load.measure(address, jpegs, connections=8, seconds=0.5)  # warm
        full = http_load.measure(address, jpegs, connections=8, seconds=seconds).accepted.rate
        before, sent = service.log.stat().st_size, 0
        rows = np.repeat(load.schedule(limits.line.rows_per_s, seconds), limits.line.tiles_across)
        least = math.ceil(limits.tiles_per_s.limit / (BUSY * full))
        for machines in (least, least + 1, least + 2):  # one more makes the wait in a row shorter
            some = http_load.measure(address, jpegs, connections=2 * limits.line.tiles_across, due=rows[::machines])
            sent += len(some.status)
            if some.accepted.latency.p99_ms <= limits.p99_latency_ms.limit:
                break
        answer = service.ask("/v1/inspect", jpegs[0])
        logged = service.log.stat().st_size - before
    heads = sum(len(f"{name}: {value}\r\n") for name, value in answer.headers.items())
    return {
        "tiles_per_s": full, "p99_ms": some.accepted.latency.p99_ms, "machines": machines,
        "tile_bytes": statistics.fmean(map(len, jpegs)), "answer_bytes": float(len(answer.body) + heads + 19),
        "log_bytes": logged / (sent + 1),
    }  # fmt: skip


def measure_drain(jpegs: list[bytes], patience: float = 10.0) -> float:
    """Seconds that the service takes to end well, asked to stop in the middle of its work: what a notice must leave."""
    from cvprod.stack.service import Service
    from cvprod.traffic import callers

    with Service("--workers", WORKERS, "--latency-budget-ms", 1000) as service:
        asking = callers.Callers(service.port, jpegs[0], pause=0.005)
        until(lambda: len(asking.seen) > 20, patience)
        begun = time.monotonic()
        status = service.stop()
        took = time.monotonic() - begun
        asking.stop()
    if status:
        raise FailureError(f"the service did not drain: it ended with {status}")
    return took


def events(jpegs: list[bytes], tiles: int) -> dict:
    """The event of a call with so many tiles."""
    return {"images": [base64.b64encode(jpeg).decode() for jpeg in (jpegs * tiles)[:tiles]]}


def measure_function(jpegs: list[bytes], calls: int = 30) -> dict[str, object]:
    """Fields of `Speed` that the function decides: times of a warm call by number of tiles, and of a cold start."""
    from cvprod.stack.serverless import Lambda

    one = events(jpegs, 1)
    with tempfile.TemporaryDirectory(prefix="cvprod-pyc-") as cache:
        with Lambda("lean", one, cache=Path(cache)):
            pass  # compiles
        with Lambda("lean", one, cache=Path(cache)) as function:
            for _ in range(5):
                function(one)
            times = {
                tiles: statistics.median(function(event).seconds for _ in range(calls)) * 1e3
                for tiles, event in ((n, events(jpegs, n)) for n in (1, BATCH))
            }
            return {"call_ms": times, "cold_ms": function.cold_s * 1e3}
