"""Adversarial training of the small student: what resists is what was attacked while it learnt.

Every step attacks the network as it is at that moment, one gradient from a random start inside the ball, and trains on
the attacked and the sound tiles together. Source: E. Wong and others, "Fast is better than free", arXiv:2001.03994.
`python -m cvprod.security harden` makes what `weights/` ships: the network, its INT8 file, and the card that the
service takes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from cvprod import measure
from cvprod.files import write_atomic
from cvprod.models import WeightsError, evaluate, predictor, register
from cvprod.models import card as model_card
from cvprod.models.data import generator_version
from cvprod.models.weights import half_state, load_weights, save_weights
from cvprod.optimize.distill import flip, rise_and_fall
from cvprod.optimize.pipeline import book_tiles, int8
from cvprod.optimize.student import student, widths
from cvprod.optimize.zoo import load_student
from cvprod.surface import CLASSES, TileSet

from . import attacks

WEIGHTS = Path(__file__).parent / "weights"
NAME, START = "student_robust", "student_pruned"
COMMAND = "python -m cvprod.security harden"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the training makes; the defaults made the shipped files.

    tiles: generated training tiles. epsilon: grey levels of the attack in training, a little more than what shall be
    resisted. share: how much of the loss is about attacked tiles.
    """

    tiles: int = 8_000
    steps: int = 400
    batch: int = 32
    epsilon: float = 3.0
    share: float = 0.6
    lr: float = 3e-3
    calibration: int = 512
    test_tiles: int = 700
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("tiles", "steps", "batch", "calibration", "test_tiles"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")
        if not 0 < self.epsilon <= 64 or not 0 <= self.share <= 1 or not self.lr > 0:
            raise ValueError("epsilon must be within 0..64 grey levels, share within 0..1 and lr above 0")


def train(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, recipe: Recipe, *, progress: bool = False,
    each_step: Callable[[int], None] | None = None,
) -> list[float]:  # fmt: skip
    """Train in place; images uint8 (N, 1, 96, 96), labels int64 (N,). Returns the loss of every step."""
    generator = torch.Generator().manual_seed(recipe.seed)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(rise_and_fall, steps=recipe.steps))
    order, losses = torch.empty(0, dtype=torch.long), []
    model.to(memory_format=torch.channels_last)
    for step in tqdm(range(recipe.steps), desc="harden", disable=not progress):
        if len(order) < recipe.batch:
            order = torch.cat([order, torch.randperm(len(x), generator=generator)])
        rows, order = order[: recipe.batch], order[recipe.batch :]
        sound, truth = flip(x[rows], generator).float(), y[rows]
        attacked = attack_step(model.eval(), sound, truth, recipe.epsilon, generator)
        logits = model.train()(torch.cat([sound, attacked]))  # one batch norm for both: it will see both
        plain, hard = (F.cross_entropy(part, truth) for part in logits.split(len(rows)))
        loss = (1 - recipe.share) * plain + recipe.share * hard
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if each_step:
            each_step(step)
    model.to(memory_format=torch.contiguous_format).eval()
    return losses


def attack_step(
    model: nn.Module, x: torch.Tensor, labels: torch.Tensor, epsilon: float, generator: torch.Generator
) -> torch.Tensor:
    """One gradient from a random start, 1.25 times the budget long, pulled back into the ball."""
    low, high = (x - epsilon).clamp(0, 255), (x + epsilon).clamp(0, 255)
    start = (x + epsilon * (2 * torch.rand(x.shape, generator=generator) - 1)).clamp(0, 255)
    uphill = attacks.gradient(model, start, labels).sign()
    return torch.minimum(torch.maximum(start + 1.25 * epsilon * uphill, low), high).detach()


def judge(model: nn.Module, test: TileSet, *, epsilons: tuple[float, ...] = (2, 4), few: int = 140) -> dict:
    """Accuracy on sound tiles, and on the first `few` after PGD-10 at each epsilon: what the card says."""
    predict, part = predictor(model), test[:few]
    return {
        "routine": evaluate(predict, test).summary(),
        "pgd10": {
            f"{epsilon:g}": round(attacks.accuracy(
                predict, attacks.in_batches(attacks.pgd, model, part.images, part.labels, epsilon), part.labels
            ), 5) for epsilon in epsilons
        },
    }  # fmt: skip


def harden(recipe: Recipe = Recipe(), *, folder: Path = WEIGHTS, progress: bool = True) -> dict:
    """Train, judge, and ship; returns the metrics. Writes nothing unless the result resists better than its start."""
    from cvprod.serving.model import calibrate

    data = book_tiles("train", recipe.tiles, conditions="mixed")
    test, model = book_tiles("test", recipe.test_tiles), load_student(START)
    with measure.threads(1):
        before = judge(model, test, epsilons=(2,))
        train(model, data.images, data.labels, recipe, progress=progress)
        model.load_state_dict(half_state(model))  # what is tested is what is shipped
        after = judge(model, test)
        print(json.dumps({"before": before, "after": after}, indent=1))
        if after["pgd10"]["2"] <= before["pgd10"]["2"]:
            raise WeightsError("not written: the trained network resists no better than the one it began with")
        metrics = {**after, "before": {"accuracy": before["routine"]["accuracy"], "pgd10": before["pgd10"]}}
        save_weights(NAME, model, _card(recipe, metrics, model), folder=folder)
        with tempfile.TemporaryDirectory() as scratch:
            few = data.images[:: max(1, len(data.images) // recipe.calibration)][: recipe.calibration]
            made = int8(model, Path(scratch) / "robust.onnx", few)
            write_atomic(onnx_path(folder), made.read_bytes())
        validation = book_tiles("val", 700)
        calibrate(onnx_path(folder), serving_card(folder), name="steel", version="1.1.0+robust", classes=CLASSES,
                  tiles=validation.images, labels=validation.labels)  # fmt: skip
    return metrics


def _card(recipe: Recipe, metrics: dict, model: nn.Module) -> dict:
    return {
        "description": "The pruned student after adversarial training.",
        "intended_use": "Showing what adversarial training gives and costs: chapter 12 of the book.",
        "limits": [
            "Resists small changes of every pixel (l-infinity, a few grey levels); says nothing of other changes, such "
            "as a sticker, a rotation or a dirty lens.",
            "Measured by PGD with ten steps from one random start: an upper bound of what it resists.",
            "Pays for it with accuracy on sound tiles; compare before it replaces the other.",
        ],
        "data": {"generator": generator_version(), "train": recipe.tiles, "conditions": "mixed"},
        "training": {
            "command": COMMAND, "recipe": asdict(recipe), "start": START, "shape": widths(model),
            "start_sha256": model_card(START, folder=_students())["weights"]["sha256"],
        },
        "metrics": metrics,
    }  # fmt: skip


def _students() -> Path:
    from cvprod.optimize.zoo import WEIGHTS as folder

    return folder


def onnx_path(folder: Path = WEIGHTS) -> Path:
    """The INT8 file."""
    return Path(folder) / f"{NAME}.onnx"


def serving_card(folder: Path = WEIGHTS) -> Path:
    """The card that `python -m cvprod.serving --model` takes."""
    return Path(folder) / "steel_robust.json"


def shipped_card() -> dict:
    """The card of the shipped network. Raises WeightsError where it is missing or damaged."""
    return model_card(NAME, folder=WEIGHTS)


def load_robust() -> nn.Module:
    """The shipped network, checksum verified: float32, eval mode. Raises WeightsError."""
    for path in (WEIGHTS / f"{NAME}.safetensors", WEIGHTS / f"{NAME}.json"):
        if not path.is_file():
            raise WeightsError(f"{path} is missing. Rebuild it with `{COMMAND}`.")
    return load_weights(NAME, folder=WEIGHTS)


register(NAME, lambda: student(**widths(load_student(START))))
