"""Knowledge distillation: a small network learns from a large one's doubts, not from labels alone.

Source: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531 (2015).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from cvprod.models.augment import fade
from cvprod.models.evaluation import Predict
from cvprod.surface import CLASSES


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 4.0,
    alpha: float = 0.9,
) -> Tensor:
    """Hinton's loss: `alpha` parts of the teacher's softened probabilities, the rest of the label.

    Logits are float (N, classes), labels int64 (N,); returns a scalar. A temperature above 1 shows how the teacher
    ranks the *wrong* classes; T^2 undoes the shrinking of the gradient that comes with it (section 2 of the paper).
    """
    if temperature <= 0 or not 0 <= alpha <= 1:
        raise ValueError(f"temperature must be above 0 and alpha within 0..1, not {temperature} and {alpha}.")
    soft = F.kl_div(
        F.log_softmax(student_logits / temperature, dim=1),
        F.log_softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard


@dataclass(frozen=True)
class TrainingSet:
    """Tiles, labels and, for distillation, what the teacher said about each tile.

    images: uint8 (N, 1, S, S); labels: int64 (N,); teacher: float32 (N, classes) logits, or None to learn from labels.
    """

    images: np.ndarray
    labels: np.ndarray
    teacher: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.teacher is not None and len(self.teacher) != len(self.images):
            raise ValueError(f"{len(self.images)} tiles but teacher logits for {len(self.teacher)}: ask it again")


def ask(
    teacher: Predict, images: np.ndarray, *, batch: int = 128, workers: int = 1, progress: bool = False
) -> np.ndarray:
    """The teacher's logits, float32 (N, classes): computed once, used in every epoch.

    workers: Python threads that ask at the same time; PyTorch gives up the interpreter's lock while it computes.
    """
    parts = [images[i : i + batch] for i in range(0, len(images), batch)]
    with ThreadPoolExecutor(workers) as pool:
        answers = list(tqdm(pool.map(teacher, parts), total=len(parts), desc="teacher", disable=not progress))
    return np.concatenate(answers).astype(np.float32)


@dataclass
class History:
    """Loss of every step, and how long the training took [s]."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each tile at random: a flaw on steel has no left or right, and the teacher's answer stays valid."""
    for axis in (2, 3):
        chosen = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(chosen[:, None, None, None], images.flip(axis), images)
    return images


#: Defects that are a texture, not a mark: on real steel they may be spread over a whole tile and hardly show.
TEXTURES = ("crazing", "pitted_surface", "rolled_in_scale")
_TEXTURES = torch.tensor([CLASSES.index(name) for name in TEXTURES])
#: How much of its detail the faintest copy of a tile keeps in `fit`. On photographs of pitted steel detail
#: has about half the contrast of generated tiles (`cvprod.bench.sim2real`).
FAINTEST = 0.25


def faded(images: Tensor, labels: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Fainter copies of about `share` of the `TEXTURES` in a batch, each by its own draw from `FAINTEST` to 1.

    images: uint8 (N, 1, S, S); labels: int64 (N,). Returns the copies, float32 (M, 1, S, S), and of which, int64 (M,).
    """
    drawn = torch.rand(len(images), generator=generator) < share
    of = (drawn & torch.isin(labels, _TEXTURES)).nonzero()[:, 0]
    kept = FAINTEST + (1 - FAINTEST) * torch.rand(len(of), 1, 1, 1, generator=generator)
    return fade(images[of].float(), kept), of


def rise_and_fall(step: int, *, steps: int) -> float:
    """Learning rate as a share of its peak: a quarter of the steps up, then down to zero along a cosine."""
    rise = max(1, steps // 4)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def fit(
    model: nn.Module,
    data: TrainingSet,
    *,
    steps: int,
    batch: int = 64,
    lr: float = 2e-3,
    temperature: float = 4.0,
    alpha: float = 0.9,
    weight_decay: float = 1e-2,
    faint: float = 0.0,
    seed: int = 0,
    progress: bool = False,
    each_step: Callable[[int], None] | None = None,
) -> History:
    """Train in place for `steps` batches: distillation where `data` has a teacher, plain labels where not.

    AdamW with a learning rate that rises to `lr` and falls to zero; tiles come in shuffled passes, mirrored at random.
    faint: share of the textures of which a batch has a fainter copy as well, see `faded`; it needs the book's seven
    classes. The teacher's answer to the tile still tells one defect from another. How faint a defect may be before the
    tile counts as clean is not for copies to say: the logit of ``clean`` is left out of their loss.
    `each_step(step)` is called after every step (to freeze observers, say). Leaves the model in eval mode.
    """
    if steps < 1 or not len(data.images):
        raise ValueError(f"nothing to train: {steps} steps on {len(data.images)} tiles")
    if not 0 <= faint <= 1:
        raise ValueError(f"faint is a share of the textures, from 0 to 1, not {faint}")
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    teacher = None if data.teacher is None else torch.from_numpy(data.teacher)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(rise_and_fall, steps=steps))

    def error(logits: Tensor, said: Tensor | None, truth: Tensor) -> Tensor:
        if said is None:
            return F.cross_entropy(logits, truth)
        return kd_loss(logits, said, truth, temperature=temperature, alpha=alpha)

    order, history, begun = torch.empty(0, dtype=torch.long), History(), time.perf_counter()
    model.to(memory_format=torch.channels_last)  # a fifth faster on the CPU
    model.train()
    for step in tqdm(range(steps), desc="train", disable=not progress):
        if len(order) < batch:
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        chosen, order = order[:batch], order[batch:]
        tiles, truth = flip(images[chosen], generator), labels[chosen]
        said = None if teacher is None else teacher[chosen]
        if faint:
            copies, of = faded(tiles, truth, faint, generator)
            logits = model(torch.cat([tiles.float(), copies]))
            loss = error(logits[: len(truth)], said, truth)
            if len(of):  # a fainter copy is judged among the defects: `CLASSES` begins with ``clean``
                told = None if said is None else said[of, 1:]
                loss = loss + len(of) / len(truth) * error(logits[len(truth) :, 1:], told, truth[of] - 1)
        else:
            loss = error(model(tiles), said, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        history.losses.append(loss.item())
        if each_step:
            each_step(step)
    model.to(memory_format=torch.contiguous_format).eval()
    history.seconds = time.perf_counter() - begun
    return history
