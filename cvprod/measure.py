"""Time, memory and compute measured so that the numbers can be believed.

Every function here answers one question about a callable, a model, a file or the machine. Times come from
`time.perf_counter` and are seconds unless a name says `_ms`; sizes are bytes. Nothing here prints.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import math
import os
import pickle
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

import numpy as np

# PyTorch takes seconds to import, and most of what measures does without it: the functions that need it import it.
if TYPE_CHECKING:
    import torch

MIB = 1024 * 1024
MB = 1_000_000


# --- latency -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Latency:
    """Measured durations of one operation.

    `samples` is a float64 array of shape (n,), in seconds, in the order in which they were taken.
    """

    samples: np.ndarray

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float64)
        if samples.ndim != 1 or samples.size == 0 or not np.isfinite(samples).all():
            raise ValueError("Latency needs a one-dimensional array of finite durations, with at least one.")
        object.__setattr__(self, "samples", samples)

    def p(self, q: float) -> float:
        """The q-th percentile (0..100), in seconds."""
        return float(np.percentile(self.samples, q))

    @property
    def mean_ms(self) -> float:
        return float(self.samples.mean()) * 1e3

    @property
    def p50_ms(self) -> float:
        return self.p(50) * 1e3

    @property
    def p95_ms(self) -> float:
        return self.p(95) * 1e3

    @property
    def p99_ms(self) -> float:
        return self.p(99) * 1e3

    def interval(
        self, q: float, confidence: float = 0.95, *, resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float]:
        """Percentile-bootstrap interval of the q-th percentile, as (low, high) in seconds.

        Method: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979.
        No resample holds a value above the largest sample, which n samples leave below the true percentile with a
        probability of (q/100)**n. Where that is more than the tail, (1 - confidence)/2, the upper end is unknown and
        `math.inf`: for the p99 at 95 % below 368 samples. From there on the ends are approximate: of a few hundred
        samples, about one in ten still has a p99 that lies above its interval. Samples count as independent.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
        rng = np.random.default_rng(seed)
        n = self.samples.size
        rows = max(1, 4_000_000 // n)  # bounds the memory of the resampled matrix to about 64 MB
        estimates = [
            np.percentile(self.samples[rng.integers(n, size=(min(rows, resamples - start), n))], q, axis=1)
            for start in range(0, resamples, rows)
        ]
        tail = (1 - confidence) / 2
        low, high = np.percentile(np.concatenate(estimates), [tail * 100, 100 - tail * 100])
        return float(low), math.inf if (q / 100) ** n > tail else float(high)

    def interval_ms(self, q: float, confidence: float = 0.95) -> tuple[float, float]:
        """As `interval`, in milliseconds; the upper end may be `math.inf`."""
        low, high = self.interval(q, confidence)
        return low * 1e3, high * 1e3


def latency(fn: Callable[[], object], *, warmup: int = 10, repeats: int = 200, min_seconds: float = 0.0) -> Latency:
    """Time `fn()` call by call: `warmup` untimed calls, then at least `repeats` and `min_seconds`."""
    if repeats < 1 or warmup < 0:
        raise ValueError(f"latency needs repeats >= 1 and warmup >= 0, not {repeats} and {warmup}.")
    for _ in range(warmup):
        fn()
    samples: list[float] = []
    end = time.perf_counter() + min_seconds
    while len(samples) < repeats or time.perf_counter() < end:
        start = time.perf_counter()
        fn()
        samples.append(time.perf_counter() - start)
    return Latency(np.array(samples))


def compare(
    fns: Mapping[str, Callable[[], object]],
    *,
    warmup: int = 10,
    repeats: int = 200,
    rounds: int = 20,
    seconds: float = math.inf,
    seed: int = 0,
) -> dict[str, Latency]:
    """Time several functions side by side: `repeats` calls of each, spread over `rounds` in random order.

    A machine's speed drifts (turbo, neighbours, heat). Interleaving gives every candidate the same share of
    the good and the bad minutes, so ratios between them hold even where absolute times do not. One that has taken
    `seconds` [s] in all is called no more after its round: fewer samples of it, and only from the first rounds.
    """
    if not fns:
        raise ValueError("compare needs at least one function.")
    for fn in fns.values():
        begun = time.perf_counter()
        for _ in range(warmup):
            fn()
            if time.perf_counter() - begun > seconds / 4:
                break
    rng = np.random.default_rng(seed)
    rounds = max(1, min(rounds, repeats))
    samples: dict[str, list[np.ndarray]] = {name: [] for name in fns}
    names = list(fns)
    for share in np.diff(np.linspace(0, repeats, rounds + 1).astype(int)):
        for name in (names[index] for index in rng.permutation(len(names))):  # a name may be a tuple
            if sum(part.sum() for part in samples[name]) > seconds:
                continue
            # One untimed call first: the previous candidate has just evicted this one's data from the caches.
            samples[name].append(latency(fns[name], warmup=1, repeats=int(share)).samples)
    return {name: Latency(np.concatenate(parts)) for name, parts in samples.items()}


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion; (nan, nan) without trials.

    Unlike the textbook p +- 1.96 s it stays inside [0, 1] and is honest at 0 % and 100 %, where a good classifier
    lives. Source: E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in 0..trials, got {successes} of {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if trials == 0:
        return float("nan"), float("nan")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / trials
    centre = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def throughput(fn: Callable[[], object], *, batch: int = 1, seconds: float = 1.0, warmup: int = 3) -> float:
    """Items per second when `fn()` handles `batch` items and is called back to back for `seconds`."""
    if batch < 1 or seconds <= 0:
        raise ValueError(f"throughput needs batch >= 1 and seconds > 0, not {batch} and {seconds}.")
    for _ in range(warmup):
        fn()
    calls = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        fn()
        calls += 1
    return calls * batch / elapsed


def parallelism(n: int = 2, *, seconds: float = 0.03, turns: int = 11) -> float:
    """How many times the work of one process `n` processes get done side by side, right now on this machine.

    The median of `turns` measurements, each of one process, of all, and of one again, for `seconds` each: short ones,
    because a machine may change its speed from one second to the next. Near `n` where that many
    cores are free; less where cores are threads of one core, are limited by a quota, or serve somebody else as well.
    What a program gains from its second core is to be compared with this, not with 2.
    """
    if n < 1 or seconds <= 0 or turns < 1:
        raise ValueError(f"parallelism needs n >= 1, seconds > 0 and turns >= 1, not {n}, {seconds} and {turns}.")
    return _probe(n, seconds, turns)[0]


def _probe(n: int, seconds: float = 0.03, turns: int = 11) -> tuple[float, float]:
    """`parallelism`, and the share of its time for which a process really ran: both are medians."""
    found, ran = [], []
    with contextlib.ExitStack() as stack:
        counters = []
        for _ in range(n):
            # Isolated and without site packages: it starts in milliseconds, and nothing of ours is in its way.
            words = [sys.executable, "-I", "-S", "-c", _COUNTER]
            child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(child)  # closes its input, at which it ends, and waits for it
            counters.append(child)
        _count(counters, 0.01)  # all have started
        for _ in range(turns):
            before, together, after = (_count(those, seconds) for those in (counters[:1], counters, counters[:1]))
            found.append(2 * sum(n for n, _ in together) / (before[0][0] + after[0][0]))
            ran += [share for _, share in (*before, *together, *after)]
    return float(np.median(found)), float(np.median(ran))


def undisturbed(share: float = 0.75) -> bool:
    """Whether the cores of this machine are ours right now: together they do `share` of what that many would alone.

    A claim about time says something about the program only where this holds. It does not where a neighbour takes a
    core, nor where two "cores" are threads of one, nor where there are more programs than cores: then each process
    gets its turn, two of them get twice as many, and only their waiting tells.

    Takes a second, so ask last, and only where a claim seems false: `assert claim or not undisturbed()`.
    """
    cores = int(machine()["cores"])
    found, ran = _probe(cores)
    return found >= share * cores and ran >= 0.9


_COUNTER = """
import sys, time
for line in sys.stdin:
    n, begun, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < begun + float(line):
        n += 1
    print(n, (time.process_time() - used) / (time.perf_counter() - begun), flush=True)
"""


def _count(counters: list[subprocess.Popen], seconds: float) -> list[tuple[int, float]]:
    for child in counters:
        child.stdin.write(f"{seconds}\n")
        child.stdin.flush()
    answers = [child.stdout.readline().split() for child in counters]
    return [(int(n), float(share)) for n, share in answers]


T = TypeVar("T")


def best(run: Callable[[], T], score: Callable[[T], float], *, enough: float, attempts: int = 5) -> T:
    """The result of `run()` with the highest score, out of `attempts`, or of fewer if one scores `enough` before.

    For what a neighbour on a shared machine can only spoil: a rate, or how calm a run was. A claim that is false stays
    false; one that is true is not lost to somebody else's second of work.
    """
    if attempts < 1:
        raise ValueError(f"best needs at least one attempt, not {attempts}.")
    found, reached = None, -float("inf")
    for attempt in range(attempts):
        result = run()
        scored = score(result)
        if attempt == 0 or scored > reached:
            found, reached = result, scored
        if reached >= enough:
            break
    return found


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Run the body with `n` torch intra-op threads, then put the old number back."""
    if n < 1:
        raise ValueError(f"threads needs at least 1, not {n}.")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cold_start(stages: Mapping[str, str], *, timeout: float = 300.0) -> dict[str, float]:
    """Seconds that each stage takes in one fresh Python process, in order.

    `stages` maps a name to Python source; all share one namespace, as the lines of a script would. The result
    begins with "start Python", the time from creating the process to its first line. The operating system's
    file cache stays warm: after a reboot it takes longer still.

    Raises RuntimeError when a stage fails (with the child's last words), ends the process, or when all have not ended
    after `timeout` seconds.
    """
    born = time.time()
    job = json.dumps({"path": sys.path, "stages": dict(stages)}).encode()
    times = json.loads(_fresh_python(_COLD_START, job, timeout, "cold_start="))
    return {"start Python": max(0.0, times.pop("") - born)} | times


_COLD_START = """
import time
times = {"": time.time()}
import json, sys
job = json.load(sys.stdin.buffer)
sys.path[:] = job["path"]
namespace = {}
for name, source in job["stages"].items():
    start = time.perf_counter()
    exec(source, namespace)
    times[name] = time.perf_counter() - start
print("cold_start=" + json.dumps(times), file=sys.stderr)
"""


def _fresh_python(source: str, job: bytes, timeout: float, mark: str) -> str:
    """Run `source` in a new interpreter with `job` on its standard input; return what it wrote to stderr after `mark`.

    Raises RuntimeError where it fails, takes longer than `timeout` seconds, or ends before it has written the mark.
    """
    words = [sys.executable, "-c", source]
    try:
        child = subprocess.run(words, input=job, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"The child process did not end within {timeout:g} s and was stopped.") from None
    stderr = child.stderr.decode(errors="replace")
    last_words = "\n".join(stderr.strip().splitlines()[-5:])
    if child.returncode != 0:
        raise RuntimeError(f"The child process failed with exit status {child.returncode}:\n{last_words}")
    if mark not in stderr:
        raise RuntimeError(
            f"The child process ended before it could report: it called sys.exit or os._exit.\n{last_words}"
        )
    return stderr.rsplit(mark, 1)[1].splitlines()[0]


def pareto(costs: np.ndarray) -> np.ndarray:
    """Which of n alternatives no other one beats, as a bool array of shape (n,).

    `costs` has shape (n, k): k criteria, all to be made small. One alternative beats another if it is at most as
    large in every criterion and smaller in at least one; equal ones do not beat each other.
    """
    costs = np.asarray(costs, dtype=np.float64)
    if costs.ndim != 2 or np.isnan(costs).any():
        raise ValueError("pareto needs an array of shape (n, k) without nan.")
    no_worse = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    return ~(no_worse & better).any(axis=0)


# --- memory and size ---------------------------------------------------------------------------------------


def peak_memory(target: Callable[..., object] | str, *args: object, timeout: float = 300.0) -> int:
    """Peak resident memory, in bytes, of a fresh Python process that imports `target` and calls it.

    `target` is an importable function or a "module:function" string; `args` must pickle. The process starts
    empty, so the figure holds the interpreter and every library that the call pulls in: what a server that
    does this and nothing else would need. Linux: VmHWM of /proc/self/status; elsewhere: ru_maxrss.

    Raises ValueError for a target that another process cannot import (a lambda, or a function defined in a
    notebook) and RuntimeError when the call fails there (with the child's last words), ends the process, or has not
    ended after `timeout` seconds.
    """
    job = pickle.dumps({"path": sys.path, "target": _import_name(target), "args": args})
    # The child runs a string and does not import this module, which would add torch to the bill.
    return int(_fresh_python(_PEAK_MEMORY, job, timeout, "peak_memory_bytes="))


_PEAK_MEMORY = """
import importlib, pickle, resource, sys
job = pickle.load(sys.stdin.buffer)
sys.path[:] = job["path"]
module, name = job["target"].split(":")
target = importlib.import_module(module)
for part in name.split("."):
    target = getattr(target, part)
target(*job["args"])
try:
    # Not ru_maxrss: Linux lets a child inherit its parent's, and a notebook's is large.
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
except (OSError, StopIteration):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(f"peak_memory_bytes={peak}", file=sys.stderr)
"""


def _import_name(target: Callable[..., object] | str) -> str:
    name = target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{name!r} is not 'module:function'.")
    if module == "__main__" or "<" in attribute:
        raise ValueError(
            f"peak_memory cannot import {name!r} in a fresh process: "
            "move the function to a module, or name one as 'module:function'."
        )
    return name


def file_size(path: str | Path) -> int:
    """Size in bytes of a file, or of all files below a folder (some model formats are folders)."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist, so it has no size.")
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def parameters(model: torch.nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in model.parameters())


def flops(model: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Floating-point operations of one forward pass on a float32 input of `shape`; a multiply-add is two.

    Counted by torch.utils.flop_counter: convolutions and matrix products only, which is nearly all of it.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(shape))
    return int(counter.get_total_flops())


def traffic(model: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes that one forward pass moves if each layer reads its input and weights and writes its output once.

    A model of eager execution, where no layer keeps its result in a register for the next one; the caches
    make the real figure smaller. Divides `flops` in a roofline plot.
    """
    import torch

    moved = 0

    def hook(module: torch.nn.Module, inputs: tuple, output: object) -> None:
        nonlocal moved
        tensors = [t for t in (*inputs, output, *module.parameters()) if isinstance(t, torch.Tensor)]
        moved += sum(t.numel() * t.element_size() for t in tensors)

    leaves = [m for m in model.modules() if not list(m.children())]
    handles = [leaf.register_forward_hook(hook) for leaf in leaves]
    try:
        with torch.no_grad():
            model(torch.zeros(shape))
    finally:
        for handle in handles:
            handle.remove()
    return moved


# --- the machine -------------------------------------------------------------------------------------------


@functools.cache
def machine() -> dict:
    """What a reader needs to know about the computer on which a number was taken.

    Keys: cpu, cores (usable by this process), isa (dict of bool: avx2, avx512, vnni, bf16, amx),
    memory_bytes, os, python, versions (package -> version). A flag is False where the system does not tell.
    """
    cpu, flags = _cpu()
    isa = {
        "avx2": "avx2" in flags,
        "avx512": "avx512f" in flags,
        # INT8 dot products: VNNI on x86, the dot-product and matrix extensions on Arm.
        "vnni": bool(flags & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}),
        "bf16": bool(flags & {"avx512_bf16", "amx_bf16", "bf16"}),
        "amx": "amx_tile" in flags,
    }
    affinity = getattr(os, "sched_getaffinity", None)
    import psutil

    return {
        "cpu": cpu,
        "cores": len(affinity(0)) if affinity else (os.cpu_count() or 1),
        "isa": isa,
        "memory_bytes": int(psutil.virtual_memory().total),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _cpu() -> tuple[str, frozenset[str]]:
    """CPU name and lower-case feature flags, from whatever this system offers."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        return _parse_cpuinfo(cpuinfo.read_text(errors="replace"))
    if sys.platform == "darwin":
        try:
            told = subprocess.run(["sysctl", "-a"], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.SubprocessError):
            return "Apple CPU", frozenset()
        return _parse_sysctl(told.stdout)
    return platform.processor() or platform.machine() or "unknown CPU", frozenset()


def _parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        pairs.setdefault(key.strip().lower(), value.strip())
    name = pairs.get("model name") or pairs.get("hardware") or platform.machine() or "unknown CPU"
    return name, frozenset((pairs.get("flags") or pairs.get("features") or "").lower().split())


def _parse_sysctl(text: str) -> tuple[str, frozenset[str]]:
    pairs = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    flags = set(pairs.get("machdep.cpu.features", "").lower().split())
    flags |= set(pairs.get("machdep.cpu.leaf7_features", "").lower().split())
    arm = {"hw.optional.arm.FEAT_DotProd": "asimddp", "hw.optional.arm.FEAT_I8MM": "i8mm"}
    arm["hw.optional.arm.FEAT_BF16"] = "bf16"
    flags |= {flag for key, flag in arm.items() if pairs.get(key, "0").strip() == "1"}
    return pairs.get("machdep.cpu.brand_string", "Apple CPU").strip(), frozenset(flags)


def _versions() -> dict[str, str]:
    found = {}
    for package in ("cvprod", "torch", "torchvision", "numpy", "onnxruntime", "openvino", "torchao", "nncf"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def peak_flops(n: int = 1024, *, seconds: float = 0.3) -> float:
    """Best measured float32 rate of this machine, in FLOP/s: an n x n x n matrix product, current threads."""
    import torch

    a, b, out = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)
    best = latency(lambda: torch.mm(a, b, out=out), warmup=2, repeats=3, min_seconds=seconds).samples.min()
    return 2 * n**3 / best


def peak_bandwidth(mib: int = 64, *, seconds: float = 0.3) -> float:
    """Best measured memory bandwidth, in bytes/s: STREAM's triad a = b + s*c on arrays of `mib` MiB each.

    Counts three arrays a pass, as STREAM does (McCalpin, www.cs.virginia.edu/stream). The arrays must be far
    larger than the last-level cache.
    """
    import torch

    n = mib * MIB // 4
    b, c, a = torch.rand(n), torch.rand(n), torch.empty(n)
    best = latency(lambda: torch.add(b, c, alpha=3.0, out=a), warmup=2, repeats=3, min_seconds=seconds)
    return 3 * 4 * n / best.samples.min()
