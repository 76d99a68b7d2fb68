"""The book's service against other servers: same model, same pictures, same client, in shares of a ceiling.

The ceiling is what the machine can do with no server at all: as many processes as every server has workers, that
decode, resize and run the network in a loop, a core for each. Every server is bound to those same cores, with all its
threads, so that a front end gets no core of its own where the machine has more; only the client is free. The ceiling is
measured just before and just after every load, because shared machines change their speed within minutes; the share is
the rate divided by the mean of the two. Servers take turns, repeat after repeat.

The client is wrk, or a slower one in Python where wrk is missing, in a closed loop (connections that wait for their
answer): it finds how much a server can carry, and is blind to what callers would see at a given rate. A share above
100 % is no mistake: the loop runs one picture at a time, a server may run those that wait together.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import math
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cvprod.bench import FailureError, UsageError, check_output, mendable, write_output
from cvprod.repo import deploy_file
from cvprod.stack import peers
from cvprod.stack.program import Program, free_port
from cvprod.traffic import http_load

CONNECTIONS = (1, 8, 32)
WORKERS = 2  # of every server and of the ceiling; the peers' scripts, deploy/triton and deploy/torchserve have it too
START_SECONDS = 180.0
_LUA = """
wrk.method = "POST"
for name, value in string.gmatch(os.getenv("BENCH_HEADERS"), '"([^"]+)": "([^"]*)"') do
  wrk.headers[name] = value
end
local bodies, next = {}, 0
for path in string.gmatch(os.getenv("BENCH_IMAGES"), "[^:]+") do
  local file = io.open(path, "rb")
  bodies[#bodies + 1] = file:read("*a")
  file:close()
end
request = function()
  next = next % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next])
end
"""


@dataclass(frozen=True)
class Peer:
    """How to start a server and what to ask it."""

    name: str
    script: str = ""
    environment: str = ""
    path: str = "/predict"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "image/jpeg"),)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("cvprod", path="/v1/inspect"),
        Peer("fastapi", "naive.py", "naive"),
        Peer("litserve", "litserve_app.py", "litserve"),
        Peer("rayserve", "ray_app.py", "ray"),
        Peer("torchserve", "torchserve_app.py", "torchserve", "/predictions/steel"),
        # Without a JSON header before it: the body is the one element of the one input.
        Peer(
            "triton",
            "triton_app.py",
            "triton",
            "/v2/models/steel_python/infer",
            (("Inference-Header-Content-Length", "0"), ("Content-Type", "application/octet-stream")),
        ),
    )
}


@dataclass(frozen=True)
class Row:
    """One server at one number of connections: medians over the repeats; `spread` is the range of the shares."""

    name: str
    connections: int
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    share_of_ceiling: float
    spread: tuple[float, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--servers", default=",".join(PEERS), help=f"of {', '.join(PEERS)} (default: all)")
    parser.add_argument(
        "--network", default="mobilenet_v3_small", help="shipped network, or 'pipeline' (default %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each server (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--plot", type=Path, help="write a chart to this .svg or .png file")


def run(options: argparse.Namespace) -> int:
    """Measure, print a table, write what was asked for."""
    names = [name.strip() for name in options.servers.split(",") if name.strip()]
    if unknown := [name for name in names if name not in PEERS]:
        raise UsageError(f"unknown server {', '.join(unknown)}; there are {', '.join(PEERS)}")
    if not names or not 0 < options.seconds < math.inf or options.repeats < 1:
        raise UsageError("at least one server, one repeat and some seconds are needed")
    check_output("--json", options.json)
    check_output("--plot", options.plot, (".svg", ".png"))
    if shutil.which("wrk") is None:
        print("wrk is missing (apt-get install wrk; brew install wrk): a slower client in Python takes its place.")
    with tempfile.TemporaryDirectory(prefix="cvprod-bench-") as scratch:
        folder = Path(scratch)
        with mendable("--network"):
            model, card = make_model(options.network, folder)
        with mendable():
            pictures = make_pictures(folder)
        rows = measure(names, model, card, pictures, seconds=options.seconds, repeats=options.repeats, folder=folder)
    heads = ("connections", "requests/s", "p50 ms", "p99 ms", "errors")
    print(f"{'server':<10}" + "".join(f"{head:>13}" for head in heads) + "  share of ceiling")
    for row in rows:
        low, high = row.spread
        values = (f"{row.connections}", f"{row.rps:.0f}", f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}", f"{row.errors}")
        cells = "".join(f"{value:>13}" for value in values)
        print(f"{row.name:<10}{cells}  {row.share_of_ceiling:.1%} ({low:.0%} to {high:.0%})")
    if options.json:
        write_output("--json", options.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if options.plot:
        picture = io.BytesIO()
        chart(rows).savefig(picture, format=options.plot.suffix[1:].lower(), bbox_inches="tight")
        write_output("--plot", options.plot, picture.getvalue())
    return 0


def measure(
    names: list[str], model: Path, card: Path, pictures: list[Path], *, seconds: float, repeats: int, folder: Path,
    connections: tuple[int, ...] = CONNECTIONS, loads: int = 1, running: Mapping[str, str] | None = None,
) -> list[Row]:  # fmt: skip
    """Rows for every server and number of connections. Raises RuntimeError where a server does not start.

    loads: how often each number of connections is tried in one turn of a server.
    running: addresses of servers that are up already (see `server`); they are used, and not stopped.
    """
    running = running or {}
    script = folder / "post.lua"
    script.write_text(_LUA)
    seen: dict[tuple[str, int], list[tuple[float, float, float, int, float]]] = {}
    with Ceiling(model, pictures) as ceiling:
        for repeat in range(repeats):
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:  # nobody is always first
                peer = PEERS[name]
                up = contextlib.nullcontext(running[name]) if name in running else server(peer, model, card, folder)
                with up as address:
                    headers = dict(peer.headers)
                    _load(address, 8, 1.0, script, pictures, headers)  # warm
                    before = ceiling.measure(seconds / 3)
                    for count in connections * loads:
                        rps, p50, p99, errors = _load(address, count, seconds, script, pictures, headers)
                        after = ceiling.measure(seconds / 3)
                        seen.setdefault((name, count), []).append((rps, p50, p99, errors, 2 * rps / (before + after)))
                        before = after
    rows = []
    for name in names:
        for count in connections:
            rps, p50, p99, errors, shares = zip(*seen[name, count], strict=True)
            rows.append(Row(
                name, count, statistics.median(rps), statistics.median(p50), statistics.median(p99), sum(errors),
                statistics.median(shares), (min(shares), max(shares)),
            ))  # fmt: skip
    return rows


def chart(rows: list[Row]):
    """Shares of the ceiling by server and connections, with their spread."""
    import matplotlib.pyplot as plt
    import numpy as np

    names, counts = list(dict.fromkeys(r.name for r in rows)), sorted({r.connections for r in rows})
    fig, ax = plt.subplots()
    height = 0.8 / len(counts)
    for k, count in enumerate(counts):
        chosen = [next(r for r in rows if (r.name, r.connections) == (name, count)) for name in names]
        shares = np.array([r.share_of_ceiling for r in chosen]) * 100
        spread = np.abs(np.array([r.spread for r in chosen]).T * 100 - shares)
        places = np.arange(len(names)) + (k - (len(counts) - 1) / 2) * height
        ax.barh(places, shares, height, xerr=spread, label=f"{count} connections")
    ax.axvline(100, color="0.5", linewidth=1)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlabel("requests a second, % of what the machine does without a server")
    ax.legend()
    return fig


# --- what is served ----------------------------------------------------------------------------------------


def make_model(network: str, folder: Path) -> tuple[Path, Path]:
    """ONNX file and card of a network."""
    from cvprod import models, surface
    from cvprod.serving import model as serving
    from cvprod.serving.settings import DEFAULT_MODEL

    folder.mkdir(parents=True, exist_ok=True)
    if network == "pipeline":
        card, data = serving.read(DEFAULT_MODEL)
        path = folder / "model.onnx"
        path.write_bytes(data)
        (folder / "model.json").write_text(card.model_copy(update={"file": path.name}).model_dump_json())
        return path, folder / "model.json"
    if network not in models.shipped():
        raise UsageError(f"unknown network {network!r}; there are pipeline, {', '.join(models.shipped())}")
    from cvprod.runtimes import onnxruntime

    path = onnxruntime.convert(models.load(network), folder / "model")
    tiles = surface.tiles("val", 350)
    serving.calibrate(
        path,
        folder / "model.json",
        name="steel",
        version=network,
        classes=surface.CLASSES,
        tiles=tiles.images,
        labels=tiles.labels,
    )
    return path, folder / "model.json"


def make_pictures(folder: Path, n: int = 16) -> list[Path]:
    """Tiles as a camera sends them: JPEG, 224 x 224, grey."""
    import simplejpeg

    from cvprod.files import write_atomic
    from cvprod.surface import make_set

    paths = []
    for i, tile in enumerate(make_set(n, seed=6, size=224).images[:, 0]):
        paths.append(folder / f"{i:02d}.jpg")
        # In one step: servers that start side by side read them while others make them anew.
        write_atomic(paths[-1], simplejpeg.encode_jpeg(tile[:, :, None], quality=90, colorspace="GRAY"))
    return paths


# --- ceiling -----------------------------------------------------------------------------------------------


class Ceiling:
    """`workers` processes that decode, resize and run the network, without any server. A context manager.

    The processes stay between measurements, asleep: to start them anew would take longer than to measure.
    """

    def __init__(self, model: Path, pictures: list[Path], workers: int = WORKERS) -> None:
        cores = _cores(workers) or [None]
        context = multiprocessing.get_context("spawn")
        self._crew = []
        for index in range(workers):
            ours, theirs = context.Pipe()
            work = (cores[index % len(cores)], str(model), [str(p) for p in pictures], theirs)
            process = context.Process(target=_loop, args=work, daemon=True)
            process.start()
            theirs.close()
            self._crew.append((process, ours))

    def measure(self, seconds: float) -> float:
        """Pictures a second of all processes together. Raises RuntimeError where a process has died."""
        try:
            for _, pipe in self._crew:  # loaded and warm?
                if not pipe.poll(60):
                    raise EOFError
                pipe.recv()
            begin = time.monotonic() + 0.02
            for _, pipe in self._crew:
                pipe.send((begin, seconds))
            return sum(pipe.recv() for _, pipe in self._crew)
        except (EOFError, OSError):
            raise FailureError("a process that measures the ceiling has died or does not answer") from None

    def __enter__(self) -> Ceiling:
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._crew:
            process.kill()
            process.join()
            pipe.close()


def _cores(n: int) -> list[int]:
    """The first n of the cores that we may use, or all of fewer; none where processes cannot be bound to cores."""
    return sorted(os.sched_getaffinity(0))[:n] if hasattr(os, "sched_getaffinity") else []


def _loop(core: int | None, model: str, pictures: list[str], pipe: Connection) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    sys.path.insert(0, str(peers.HERE))
    from inspector import Inspector

    look = Inspector(model)
    files = [Path(p).read_bytes() for p in pictures]
    for data in files:
        look(data)
    while True:
        pipe.send("ready")
        begin, seconds = pipe.recv()
        time.sleep(max(0.0, begin - time.monotonic()))
        count, end = 0, begin + seconds
        while time.monotonic() < end:
            look(files[count % len(files)])
            count += 1
        pipe.send(count / seconds)


# --- servers and client ------------------------------------------------------------------------------------


@contextlib.contextmanager
def server(peer: Peer, model: Path, card: Path, folder: Path) -> Iterator[str]:
    """A running server's address. Raises FailureError with the end of its log where it does not come up."""
    port = free_port()
    if peer.name == "cvprod":
        # The peers refuse nobody, however long the queue; so that the work is the same, neither does ours here.
        command = [sys.executable, "-m", "cvprod.serving", "--port", str(port), "--model", str(card)]
        command += ["--workers", str(WORKERS)]
        command += ["--latency-budget-ms", "10000", "--no-access-log", "--log-level", "warning"]
        where = None
    else:
        command, where = [str(peers.environment(peer.environment)), peer.script, str(port)], peers.HERE
    settings = {"PEER_MODEL": str(model), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    torch = importlib.util.find_spec("torch")  # found, not imported
    settings["PEER_SITE"] = str(Path(torch.origin).parents[1]) if torch and torch.origin else ""
    settings["PEER_SCRATCH"] = str(folder)
    settings["PEER_DEPLOY"] = str(deploy_file("contract.yaml").parent)
    address = f"http://127.0.0.1:{port}{peer.path}"
    request = urllib.request.Request(address, make_pictures(folder, 1)[0].read_bytes(), dict(peer.headers))
    try:
        running = Program(
            peer.name, command, lambda: _answers(request), env=settings, patience=START_SECONDS, grace=8,
            cores=_cores(WORKERS), cwd=where,
        )  # fmt: skip
    except RuntimeError as error:
        raise FailureError(str(error)) from error
    with running:
        yield address


def _answers(request: urllib.request.Request) -> bool:
    with contextlib.suppress(ValueError), urllib.request.urlopen(request, timeout=10) as answer:
        return b"label" in answer.read()
    return False


def _load(
    address: str, connections: int, seconds: float, script: Path, pictures: list[Path], headers: dict[str, str]
) -> tuple[float, float, float, int]:
    """Requests a second, p50 and p99 in ms, errors."""
    if not shutil.which("wrk"):
        bodies = [path.read_bytes() for path in pictures]
        seen = http_load.measure(address, bodies, connections=connections, seconds=seconds, headers=headers)
        waited = seen.load.latency
        return seen.load.rate, waited.p50_ms, waited.p(99) * 1e3, int((seen.status // 100 != 2).sum())
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "10s"]
    command += ["-s", str(script), address]
    settings = {"BENCH_IMAGES": ":".join(map(str, pictures)), "BENCH_HEADERS": json.dumps(headers)}
    text = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **settings}).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    errors = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    errors += sum(sum(map(int, re.findall(r"\d+", line))) for line in re.findall(r"Socket errors: (.*)", text))
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    p50, p99 = (float(value) * unit[suffix] for value, suffix in re.findall(r"(?:50|99)%\s+([\d.]+)(us|ms|s)", text))
    return rate, p50, p99, errors
