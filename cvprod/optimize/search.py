"""Neural architecture search: widths chosen by measurement, for this machine.

A study with two objectives, measured latency and a cheap proxy of accuracy; the answer is a front, not a point.
Source of the idea that latency must be measured: Tan et al., "MnasNet", CVPR 2019, arXiv:1807.11626.
"""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import torch
from torch import nn

from cvprod import measure
from cvprod.models.evaluation import evaluate, predictor
from cvprod.surface import TileSet

from .distill import TrainingSet, fit
from .fuse import export, onnx_predict, with_weights
from .student import student

STEM = (16, 24, 32, 48)
WIDTH = (16, 24, 32, 48)  # of the first block; the others double it
GROWTH = (1.0, 1.5, 2.0)  # from block to block
INNER = (0.5, 1.0, 1.5)  # hidden channels for each outer one
BLOCKS = (2, 3)


def draw(trial: optuna.Trial) -> dict:
    """One architecture of the search space, as arguments for `student`."""
    stem = trial.suggest_categorical("stem", STEM)
    width = trial.suggest_categorical("width", WIDTH)
    growth = trial.suggest_categorical("growth", GROWTH)
    inner = trial.suggest_categorical("inner", INNER)
    blocks = trial.suggest_categorical("blocks", BLOCKS)
    outputs = tuple(_eights(width * growth**index) for index in range(blocks))
    return {"stem": stem, "hidden": tuple(_eights(inner * width) for width in outputs), "outputs": outputs}


def _eights(width: float) -> int:
    return max(8, 8 * round(width / 8))


#: Trials that learn at the same time. They are drawn without knowing of each other, so more would guide worse.
AT_ONCE = 2
#: PyTorch has one generator that all threads draw new weights from.
_seeding = threading.Lock()

TILE = np.zeros((1, 1, 96, 96), np.uint8)  # what it shows does not matter for time


def untrained(shape: dict, file: str | Path, *, graphs: dict[tuple[str, ...], Path] | None = None) -> Path:
    """Export an architecture with random weights, which is enough for its time. shape: arguments for `student`.

    graphs: files of earlier calls by the names of their layers; the next network with these layers takes its graph from
    there, and the first one is added.
    """
    network = student(**shape)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):  # the exporter stores tensors that are equal, as those of a new network are, once
            nn.init.normal_(parameter)
    graphs, layers = {} if graphs is None else graphs, tuple(network.state_dict())
    path = with_weights(graphs[layers], network, file) if layers in graphs else export(network, file)
    graphs.setdefault(layers, path)
    return path


def latency_ms(
    shape: dict, file: str | Path, *, repeats: int = 60, graphs: dict[tuple[str, ...], Path] | None = None
) -> float:
    """Median latency [ms] of an architecture in ONNX Runtime, batch 1, one thread; file, graphs: see `untrained`."""
    predict = onnx_predict(untrained(shape, file, graphs=graphs))
    return measure.latency(lambda: predict(TILE), repeats=repeats).p50_ms


def proxy_accuracy(
    shape: dict, data: TrainingSet, validation: TileSet, *, steps: int, batch: int = 64, seed: int = 0
) -> float:
    """Validation accuracy (0..1) after a training far too short to be good, but long enough to rank."""
    with _seeding:
        torch.manual_seed(seed)
        model = student(**shape)
    fit(model, data, steps=steps, batch=batch, lr=4e-3, seed=seed)
    return evaluate(predictor(model), validation).accuracy


def search(
    data: TrainingSet, validation: TileSet, *, trials: int = 10, steps: int = 40, batch: int = 64, seed: int = 0
) -> optuna.Study:
    """Look for students that are fast *and* learn quickly; returns the study (values: latency [ms], accuracy).

    Each trial keeps in `user_attrs` its architecture, "shape", and the path of its exported network, "file", in a new
    temporary folder. A latency is taken when its trial comes, between trainings: good enough to guide a search. For
    the front, see `front`. Trials come AT_ONCE at a time; each learns on one thread, as the others of its time do.
    """
    folder = Path(tempfile.mkdtemp(prefix="cvprod-search-"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    graphs: dict[tuple[str, ...], Path] = {}
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(4, trials // 2))
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)

    def latency(trial: optuna.Trial) -> float:
        shape, file = draw(trial), folder / f"trial{trial.number}.onnx"
        trial.set_user_attr("shape", shape)
        trial.set_user_attr("file", str(file))
        return latency_ms(shape, file, graphs=graphs)

    def accuracy(trial: optuna.Trial) -> float:
        return proxy_accuracy(trial.user_attrs["shape"], data, validation, steps=steps, batch=batch, seed=seed)

    with measure.threads(1), ThreadPoolExecutor(AT_ONCE) as workers:
        for begun in range(0, trials, AT_ONCE):
            asked = [study.ask() for _ in range(min(AT_ONCE, trials - begun))]
            latencies = [latency(trial) for trial in asked]  # while nothing trains
            for trial, *values in zip(asked, latencies, workers.map(accuracy, asked), strict=True):
                study.tell(trial, values)
    return study


def front(study: optuna.Study, *, repeats: int = 100) -> pd.DataFrame:
    """All trials of a `search`, timed once more, now together and in random order: one row each, indexed by number.

    Columns: latency_ms (median), accuracy (the proxy's, 0..1), shape, and on_front: no other trial is as good in both
    latency and accuracy and better in one.
    """
    networks = {trial.number: onnx_predict(trial.user_attrs["file"]) for trial in study.trials}
    timed = measure.compare({n: lambda p=predict: p(TILE) for n, predict in networks.items()}, repeats=repeats)
    found = pd.DataFrame(
        {
            "latency_ms": [timed[trial.number].p50_ms for trial in study.trials],
            "accuracy": [trial.values[1] for trial in study.trials],
            "shape": [trial.user_attrs["shape"] for trial in study.trials],
        },
        index=pd.Index(networks, name="trial"),
    )
    found["on_front"] = measure.pareto(np.column_stack([found.latency_ms, -found.accuracy]))
    return found


def pick(study: optuna.Study, *, within: float = 0.02) -> optuna.trial.FrozenTrial:
    """The fastest trial whose proxy accuracy is at most `within` below the best one's."""
    best = max(trial.values[1] for trial in study.best_trials)
    return min((t for t in study.best_trials if t.values[1] >= best - within), key=lambda t: t.values[0])
