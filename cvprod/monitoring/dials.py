"""The line's conditions as dials, each turned to three strengths: what drift experiments are made of.

Only one thing changes at a time. Covariate dials change the pictures, `prior` the mix of classes, and `concept` changes
nothing that a camera could see: the same bytes, judged by another rule.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvprod.surface import CLASSES, Conditions, make_tile, to_input

#: The mix of the line in a normal week: seven tiles in ten are clean.
PRIOR = (0.70, *[0.05] * 6)
STRENGTHS = ("mild", "medium", "strong")


@dataclass(frozen=True)
class Dial:
    """One thing that can change.

    what: in words. unit: of the severities. severities: mild, medium, strong. turn: changes the conditions of one tile;
    gets the routine ones, the severity and a number between 0 and 1 drawn for this tile. prior: class weights for a
    severity, None where the mix stays. concept: whether the labels change instead of the pictures.
    """

    what: str
    unit: str
    severities: tuple[float, float, float]
    turn: Callable[[Conditions, float, float], Conditions] = lambda c, severity, u: c
    prior: Callable[[float], tuple[float, ...]] | None = None
    concept: bool = False


def _clamp(name: str, value: float) -> float:
    low, high = Conditions.RANGES[name]
    return float(min(max(value, low), high))


def _more_scratches(share: float) -> tuple[float, ...]:
    rest = (1 - share) / (1 - PRIOR[6])
    return (*[p * rest for p in PRIOR[:6]], share)


def _other_camera(c: Conditions, severity: float, u: float) -> Conditions:
    return c.with_(
        gain=_clamp("gain", c.gain * (1 + 0.15 * severity)),
        gamma=_clamp("gamma", c.gamma * (1 - 0.15 * severity)),
        noise=_clamp("noise", c.noise + 1.5 * severity),
        rotation=_clamp("rotation", c.rotation + 1.5 * severity),
    )


DIALS: dict[str, Dial] = {
    "none": Dial("nothing changes", "", (0.0, 0.0, 0.0)),
    "exposure": Dial(
        "the camera tuned", "EV", (-0.15, -0.4, -1.0),
        lambda c, s, u: c.with_(exposure=_clamp("exposure", c.exposure + s)),
    ),
    "blur": Dial(
        "the lens loses focus", "px", (0.4, 1.0, 2.0),
        lambda c, s, u: c.with_(defocus=_clamp("defocus", c.defocus + s)),
    ),
    "jpeg": Dial(
        "the camera saves bandwidth", "quality", (60, 30, 10), lambda c, s, u: c.with_(jpeg_quality=int(s))
    ),
    "camera": Dial("a camera of another make", "x", (0.4, 1.0, 2.0), _other_camera),
    "grade": Dial(
        "a steel that no training saw", "share of grade C", (0.1, 0.3, 1.0),
        lambda c, s, u: c.with_(grade="C") if u < s else c,
    ),
    "prior": Dial("a roll that scratches", "share of scratches", (0.1, 0.2, 0.4), prior=_more_scratches),
    "concept": Dial(
        "the customer redraws the line: so many pitted tiles pass as clean", "share", (0.25, 0.5, 1.0), concept=True
    ),
}  # fmt: skip


def judged(labels: np.ndarray, severity: float, seed: int) -> np.ndarray:
    """The labels under the concept dial: a share `severity` of the pitted tiles now count as clean.

    labels: int64 (N,). Returns a copy; the pictures stay what they were, to the byte.
    """
    new, rng = np.array(labels), np.random.default_rng(seed)
    new[(new == CLASSES.index("pitted_surface")) & (rng.random(len(new)) < severity)] = CLASSES.index("clean")
    return new


def draw(name: str, severity: float, n: int, seed: int, *, workers: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of the line with one dial turned.

    Args:
        name: one of `DIALS`.
        severity: how far; in the dial's unit. Ignored by "none".
        n: how many, at least 1.
        seed: tile i depends on (seed, i) and the dial alone. Two dials at one seed see the same pieces of strip, but
            for `prior` and `grade`.
        workers: processes that draw; worth it from a hundred tiles.

    Returns:
        uint8 (n, 1, 96, 96) and labels int64 (n,); those of "concept" are the new ones.

    Raises:
        ValueError: unknown dial, or an option is out of its range.
    """
    return draw_all([(name, severity, n, seed)], workers=workers)[0]


def draw_all(jobs: list[tuple[str, float, int, int]], *, workers: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Several `draw`s, each (name, severity, n, seed), shared out among `workers` processes."""
    for name, severity, n, seed in jobs:
        if name not in DIALS:
            raise ValueError(f"no dial called {name!r}; known: {', '.join(DIALS)}")
        if n < 1 or seed < 0 or not np.isfinite(severity):
            raise ValueError(
                f"{name}: n must be at least 1, seed not negative, severity a number: {(severity, n, seed)}"
            )
        _turned(Conditions(), name, severity, 0.0)  # an impossible severity is told here, not by a worker
    parts = [(k, *job, i, min(i + 50, job[2])) for k, job in enumerate(jobs) for i in range(0, job[2], 50)]
    if workers < 2 or sum(job[2] for job in jobs) < 100:
        made = {part: _some(*part[1:]) for part in parts}
    else:
        shares = [parts[w::workers] for w in range(workers)]
        running = [_start(share) for share in shares]
        made = {}
        for share, process in zip(shares, running, strict=True):
            made |= dict(zip(share, _result(process), strict=True))
    found = []
    for k in range(len(jobs)):
        mine = [made[part] for part in parts if part[0] == k]
        found.append((np.concatenate([m[0] for m in mine]), np.concatenate([m[1] for m in mine])))
    return found


def _turned(conditions: Conditions, name: str, severity: float, u: float) -> Conditions:
    return DIALS[name].turn(conditions, severity, u)


def _some(name: str, severity: float, n: int, seed: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    dial = DIALS[name]
    cumulative = np.cumsum(dial.prior(severity) if dial.prior else PRIOR)
    images, labels = np.zeros((last - first, 1, 96, 96), np.uint8), np.zeros(last - first, np.int64)
    for k, index in enumerate(range(first, last)):
        rng = np.random.Generator(np.random.PCG64((seed, index, 8)))
        pick, u, tile_seed = rng.random(), rng.random(), int(rng.integers(2**62))
        labels[k] = min(int(np.searchsorted(cumulative, pick, side="right")), len(CLASSES) - 1)
        conditions = dial.turn(Conditions.routine(rng), severity, u)
        images[k, 0] = to_input(make_tile(int(labels[k]), tile_seed, conditions=conditions).image)
    return images, judged(labels, severity, seed + first) if dial.concept else labels


# Processes of their own, as in cvprod.surface.worker: forking would copy running threads, and spawning would import
# the caller's script again.


def _start(parts: list[tuple]) -> subprocess.Popen:
    import os
    from pathlib import Path

    package = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])}
    process = subprocess.Popen(
        [sys.executable, "-m", "cvprod.monitoring.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    )
    pickle.dump(parts, process.stdin)
    process.stdin.close()
    return process


def _result(process: subprocess.Popen) -> list[tuple[np.ndarray, np.ndarray]]:
    data = process.stdout.read()
    process.stdout.close()
    if process.wait() or not data:
        raise RuntimeError(f"a process that draws tiles ended with exit status {process.returncode}")
    return pickle.loads(data)
