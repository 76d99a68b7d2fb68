"""Training from scratch on generated tiles, within a coffee break on two CPU cores.

`fit` is the loop (any module, any tile set: the optimise chapter uses it for students and fine-tuning); `train` is the
whole recipe of one shipped network: data, loop, float16 rounding, test, model card, and the decision to ship.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from cvprod.surface import INPUT_SIZE, SPLITS, TileSet

from . import weights as store
from .augment import augment
from .data import cached_set, generator_version
from .evaluation import Evaluation, evaluate, predictor
from .networks import BASELINE, build

TEST_TILES = 4000
VALIDATION_TILES = 1400


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training gives.

    tiles: size of the training set. epochs: passes at most. batch: tiles a step. lr: peak of the one-cycle schedule.
    weight_decay: AdamW's. smoothing: label smoothing. patience: epochs without a better validation loss before it
    stops early. precision: "bf16" (autocast), "fp32", or "auto": bf16 where this CPU has instructions for it and the
    network gains from them. strength: of the augmentation. conditions: of the training tiles. grow: whether the first
    epochs see smaller pictures, see `picture_size`. polish: epochs of a second, gentler cycle at full size (0: none).
    seed: of weights, order and augmentation.
    """

    tiles: int = 20_000
    epochs: int = 7
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.02
    smoothing: float = 0.05
    patience: int = 4
    precision: str = "fp32"
    strength: float = 1.0
    conditions: str = "wide"
    grow: bool = True
    polish: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("tiles", "epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (0 < self.lr < math.inf and 0 <= self.weight_decay < math.inf):  # found before tiles are made
            raise ValueError(f"lr is a number above 0, weight_decay one from 0, got {self.lr} and {self.weight_decay}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is a share, from 0 to below 1, got {self.smoothing}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ValueError(f"precision must be auto, bf16 or fp32, got {self.precision!r}")


# Plain convolutions gain from bfloat16 instructions, depthwise ones lose (measured: `--precision` to compare).
RECIPES: dict[str, Recipe] = {
    "resnet18": Recipe(precision="auto", polish=3),
    "resnet10_half": Recipe(precision="auto"),
    "squeezenet1_1": Recipe(precision="auto", lr=1e-3),
    "shufflenet_v2_x0_5": Recipe(lr=4e-3),
    "mobilenet_v3_small": Recipe(lr=4e-3),
}


@dataclass
class History:
    """What happened, an entry an epoch; `best` is the index of the epoch whose weights were kept."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    best: int = -1
    seconds: float = 0.0
    stopped_early: bool = False


def picture_size(epoch: int, epochs: int) -> int:
    """Edge length of the training pictures: 64 in the first quarter of the epochs, 80 in the second, then 96 [px].

    What a network learns first is coarse, and 64 px cost less than half of 96: progressive resizing saves a quarter of
    the time. The last half at full size sets the filters and BatchNorm's statistics to the size that is served.
    """
    return (64, 80, INPUT_SIZE, INPUT_SIZE)[4 * epoch // epochs] if epochs >= 4 else INPUT_SIZE


def has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (else autocast is slower than float32)."""
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def fit(
    model: nn.Module,
    train: TileSet,
    validation: TileSet,
    recipe: Recipe,
    *,
    loss: Loss | None = None,
    progress: bool = True,
) -> History:
    """Train in place; at the end the model holds the weights of its best epoch and is in eval mode.

    The best epoch is the one with the lowest validation cross-entropy: accuracy has too few steps to tell epochs apart.
    loss: (logits, labels, images) -> scalar, by default cross-entropy with the recipe's label smoothing; distillation
    passes its own. progress: a tqdm bar and a line an epoch on stderr.
    Raises FloatingPointError when the loss is no longer a number.
    """
    if loss is None:

        def loss(logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
            return F.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)

    started = time.perf_counter()
    torch.manual_seed(recipe.seed)  # dropout
    random = torch.Generator().manual_seed(recipe.seed)
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    steps = max(1, len(labels) // recipe.batch)
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and has_bf16())
    model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(_groups(model, recipe.weight_decay), lr=recipe.lr, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.lr, total_steps=recipe.epochs * steps, pct_start=0.2
    )
    history, best_state, best_loss = History(), None, float("inf")
    for epoch in range(recipe.epochs):
        model.train()
        order = torch.randperm(len(labels), generator=random)
        running = 0.0
        size = picture_size(epoch, recipe.epochs) if recipe.grow else INPUT_SIZE
        bar = tqdm(
            order[: steps * recipe.batch].split(recipe.batch) if steps > 1 else [order],
            desc=f"epoch {epoch + 1}/{recipe.epochs}",
            unit="step",
            disable=not progress,
            leave=False,
            mininterval=1.0,
        )
        for chosen in bar:
            batch = augment(images[chosen].float(), random, recipe.strength)
            if size != INPUT_SIZE:
                batch = F.interpolate(batch, size=(size, size), mode="bilinear", antialias=True)
            batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(batch)
            value = loss(logits.float(), labels[chosen], batch)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            running += float(value.detach())
        if not np.isfinite(running):
            raise FloatingPointError(f"the loss became {running} in epoch {epoch + 1}: lower the learning rate")
        seen = evaluate(predictor(model), validation)
        val_loss = float(F.cross_entropy(torch.from_numpy(seen.logits), torch.from_numpy(seen.labels)))
        history.train_loss.append(running / max(1, steps))
        history.val_loss.append(val_loss)
        history.val_accuracy.append(seen.accuracy)
        if progress:
            tqdm.write(
                f"epoch {epoch + 1}/{recipe.epochs}: training loss {history.train_loss[-1]:.3f}, "
                f"validation loss {val_loss:.3f}, accuracy {seen.accuracy:.2%}, "
                f"{time.perf_counter() - started:.0f} s",
                file=sys.stderr,
            )
        if val_loss < best_loss:
            best_loss, history.best, best_state = val_loss, epoch, copy.deepcopy(model.state_dict())
        elif epoch - history.best >= recipe.patience:
            history.stopped_early = True
            break
    if best_state is None:
        raise FloatingPointError("no epoch had a finite validation loss: lower the learning rate")
    model.load_state_dict(best_state)
    model.to(memory_format=torch.contiguous_format).eval()
    history.seconds = time.perf_counter() - started
    return history


def _groups(model: nn.Module, decay: float) -> list[dict]:
    """Weight decay for matrices and kernels alone: biases and BatchNorm scales have no reason to shrink."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def test_sets() -> dict[str, TileSet]:
    """The fixed test sets of every model card: the routine line, and its unkindest end."""
    return {
        "routine": cached_set(TEST_TILES, SPLITS["test"], conditions="routine"),
        "hardest_routine": cached_set(TEST_TILES // 2, SPLITS["test"], conditions="hardest_routine"),
    }


def card_metrics(model: nn.Module) -> dict[str, dict]:
    """The `metrics` of a model card: `Evaluation.summary()` on each of `test_sets()`."""
    predict = predictor(model)
    return {name: evaluate(predict, tiles).summary() for name, tiles in test_sets().items()}


@dataclass(frozen=True)
class Outcome:
    """What `train` did: where the new weights lie, their test, the shipped ones' on the same tiles, and the verdict."""

    name: str
    path: Path | None
    new: Evaluation
    old: Evaluation | None
    message: str


TOLERANCE = 0.005  # half a point: the most that a rebuild may lose


def train(
    name: str,
    recipe: Recipe | None = None,
    *,
    folder: Path = store.WEIGHTS,
    force: bool = False,
    progress: bool = True,
) -> Outcome:
    """Train one network on generated tiles, test the float16-rounded result, and ship it unless it is worse.

    Nothing in `folder` is touched before the end. Weights there that are more than half a point better on the same
    test tiles stay, unless force=True; the message reports both numbers either way.
    """
    recipe = recipe or RECIPES.get(name, Recipe())
    torch.manual_seed(recipe.seed)
    model = build(name)
    train_set = cached_set(recipe.tiles, SPLITS["train"], conditions=recipe.conditions)
    validation = cached_set(VALIDATION_TILES, SPLITS["val"], conditions="wide")
    history = fit(model, train_set, validation, recipe, progress=progress)
    if recipe.polish:
        history = _polish(model, train_set, validation, recipe, history, progress)
    model.load_state_dict(store.half_state(model))  # what is tested is what is shipped
    tests = test_sets()
    predict = predictor(model)
    seen = {key: evaluate(predict, tiles) for key, tiles in tests.items()}
    new, old = seen["routine"], judge_shipped(name, folder, tests["routine"])
    report = f"{name}: accuracy {new.accuracy:.2%} on {new.n} test tiles"
    report += f", shipped before: {old.accuracy:.2%}" if old else ", none shipped before"
    if old and new.accuracy < old.accuracy - TOLERANCE and not force:
        return Outcome(name, None, new, old, f"{report}. Worse: the shipped weights stay (--force replaces them).")
    content = _describe(name, recipe, history, train_set, validation, tests, seen)
    path = store.save_weights(name, model, content, folder=folder)
    return Outcome(name, path, new, old, f"{report}. Written: {path}")


def _polish(
    model: nn.Module, train_set: TileSet, validation: TileSet, recipe: Recipe, first: History, progress: bool
) -> History:
    """A second cycle from the best weights, at 0.3 of the learning rate; undone if validation does not gain by it."""
    before = copy.deepcopy(model.state_dict())
    gentle = replace(recipe, epochs=recipe.polish, lr=0.3 * recipe.lr, grow=False, seed=recipe.seed + 1)
    second = fit(model, train_set, validation, gentle, progress=progress)
    gained = second.val_loss[second.best] < first.val_loss[first.best]
    if not gained:
        model.load_state_dict(before)
    return History(
        first.train_loss + second.train_loss,
        first.val_loss + second.val_loss,
        first.val_accuracy + second.val_accuracy,
        len(first.val_loss) + second.best if gained else first.best,
        first.seconds + second.seconds,
        first.stopped_early or second.stopped_early,
    )


def judge_shipped(name: str, folder: Path, test: TileSet) -> Evaluation | None:
    """The shipped weights' test, None where there are no weights that load."""
    try:
        return evaluate(predictor(store.load_weights(name, folder=folder)), test)
    except store.WeightsError:
        return None


def training_command(name: str, recipe: Recipe) -> str:
    """The command that repeats a training: the network's name and every option that is not its recipe's."""
    default = asdict(RECIPES.get(name, Recipe()))
    changed = {key: value for key, value in asdict(recipe).items() if value != default[key]}
    words = [f"python -m cvprod.models train {name}"]
    for key, value in changed.items():
        option = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(f"--{option} {value}")
    return " ".join(words)


def _describe(name, recipe, history, train_set, validation, tests, seen) -> dict:
    """The parts of the model card that training knows."""
    role = "baseline of the book" if name == BASELINE else "point of the book's accuracy/latency comparison"
    return {
        "description": f"{name} of the torchvision family, one grey channel, trained from scratch: {role}.",
        "intended_use": "Sorting 96x96 grey tiles of hot-rolled steel strip into clean and six kinds of defect, "
        "as the teaching case of the book Computer Vision in Production.",
        "limits": [
            "Trained on generated tiles only; on real strip it needs to be judged, and probably trained, again.",
            "A tile is given one class: two defects on one tile are one answer.",
            "Knows steel grade A; another grade, camera or light beyond the training conditions is drift.",
            "Its logits are not calibrated, and it answers for pictures of anything.",
        ],
        "data": {
            "generator": generator_version(),
            "train": _data_card(train_set, SPLITS["train"], recipe.conditions),
            "validation": _data_card(validation, SPLITS["val"], "wide"),
            "test": {key: _data_card(tiles, SPLITS["test"], key) for key, tiles in tests.items()},
        },
        "training": {
            "command": training_command(name, recipe),
            "recipe": asdict(recipe),
            "bf16": recipe.precision == "bf16" or (recipe.precision == "auto" and has_bf16()),
            "epochs_run": len(history.val_loss),
            "best_epoch": history.best + 1,
            "val_accuracy": [round(value, 5) for value in history.val_accuracy],
            "seconds": round(history.seconds),
        },
        "metrics": {key: {**result.summary(), "hardest_class": result.hardest} for key, result in seen.items()},
    }


def _data_card(tiles: TileSet, seed: int, conditions: str) -> dict:
    return {"n": len(tiles), "seed": seed, "conditions": conditions, "digest": tiles.digest}


def with_options(recipe: Recipe, **options: object) -> Recipe:
    """The recipe with every option that is not None replaced."""
    return replace(recipe, **{key: value for key, value in options.items() if value is not None})
