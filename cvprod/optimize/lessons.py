"""What a teacher is worth: six small students from the same tiles and steps, three with it and three without.

`python -m cvprod.optimize lessons` trains and ships them in one file. One pair of trainings says little: the seed alone
moves an accuracy too.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import nn

from cvprod import measure
from cvprod.models import BASELINE, card, load, load_weights, register, save_weights
from cvprod.models.data import generator_version

from .distill import TrainingSet, ask, fit
from .fuse import export, onnx_predict
from .pipeline import book_tiles
from .student import student
from .zoo import WEIGHTS

NAME = "lessons"
COMMAND = "python -m cvprod.optimize lessons"
WAYS = ("labels only", "with teacher")
SEEDS = (0, 1, 2)
SHAPE = {"stem": 16, "hidden": (16, 32, 64), "outputs": (16, 32, 64)}


def _class() -> nn.ModuleDict:
    """All six, untrained; those of one seed begin with the same weights."""
    pupils = nn.ModuleDict()
    for way, seed in itertools.product(WAYS, SEEDS):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            pupils[f"{way}, {seed}"] = student(**SHAPE)
    return pupils


register(NAME, _class)


def load_lessons(folder: Path = WEIGHTS) -> dict[tuple[str, int], nn.Module]:
    """The six shipped students, checksum verified, by (one of WAYS, seed); see `cvprod.models.load_weights`."""
    pupils = load_weights(NAME, folder=folder)
    return {(way, seed): pupils[f"{way}, {seed}"] for way, seed in itertools.product(WAYS, SEEDS)}


def study(
    *, tiles: int = 3000, steps: int = 400, batch: int = 64, lr: float = 4e-3, folder: Path = WEIGHTS, workers: int = 2
) -> Path:
    """Train all six and write them with their card; returns the weights' path. Takes minutes.

    Both ways get the same tiles in the same order, the same steps and the same first weights.
    """
    import tempfile

    raw = book_tiles("train", tiles)
    with measure.threads(1), tempfile.TemporaryDirectory() as scratch:
        teacher = onnx_predict(export(load(BASELINE), Path(scratch) / "teacher.onnx"))
        answers = ask(teacher, raw.images, workers=workers)
        lessons = dict(zip(WAYS, (TrainingSet(raw.images, raw.labels), TrainingSet(raw.images, raw.labels, answers)),
                           strict=True))  # fmt: skip
        pupils = _class()

        def learn(which: tuple[str, int]) -> None:
            way, seed = which
            fit(pupils[f"{way}, {seed}"], lessons[way], steps=steps, batch=batch, lr=lr, seed=seed)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(learn, itertools.product(WAYS, SEEDS)))
    about = {
        "description": "Six small students: three trained with the baseline's answers, three on labels alone.",
        "intended_use": "Chapter 2: what a teacher is worth, beside what a seed is worth.",
        "limits": ["Not for deployment: `student` had many more lessons."],
        "data": {"generator": generator_version(), "train": tiles, "conditions": "routine"},
        "training": {
            "command": COMMAND,
            "recipe": {"tiles": tiles, "steps": steps, "batch": batch, "lr": lr, "seeds": list(SEEDS)},
            "teacher": BASELINE,
            "teacher_sha256": card(BASELINE)["weights"]["sha256"],
        },
        "metrics": {"routine": {}},
    }
    return save_weights(NAME, pupils.eval(), about, folder=folder)
