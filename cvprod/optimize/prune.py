"""Pruning: taking weights away, one by one (unstructured) or channel by channel (structured)."""

from __future__ import annotations

import copy
import gzip
import io
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import prune as torch_prune

from cvprod.models.networks import INPUT_SHAPE, Classifier
from cvprod.models.own import call, does_not_take, first_line, leaves
from cvprod.quiet import quiet

from .student import student, widths


def magnitude(model: nn.Module, amount: float) -> nn.Module:
    """A copy in which the `amount` (0..1) smallest weights of all convolutions and linear layers together are zero.

    The tensors keep their shape, so a dense kernel does exactly as much work as before.
    Source: Han et al., "Learning both weights and connections", arXiv:1506.02626.
    """
    if not 0 <= amount < 1:
        raise ValueError(f"amount is a share from 0 to below 1, not {amount}.")
    model = copy.deepcopy(model)
    layers = [(m, "weight") for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    torch_prune.global_unstructured(layers, pruning_method=torch_prune.L1Unstructured, amount=amount)
    for module, name in layers:
        torch_prune.remove(module, name)  # makes the zeros permanent and drops the mask
    return model.eval()


def sparsity(model: nn.Module) -> float:
    """Share of zero weights in convolutions and linear layers."""
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def state_bytes(model: nn.Module, *, compressed: bool = False) -> int:
    """Bytes of the network's float32 state as torch saves it; `compressed`: after gzip, where zeros do pay."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return len(gzip.compress(buffer.getvalue(), 1)) if compressed else buffer.tell()


def channels(
    model: nn.Module, ratio: float, *, round_to: int = 8, steps: int = 1, example: torch.Tensor | None = None
) -> nn.Module:
    """A smaller copy from which the `ratio` (0..1) least important channels are really gone.

    A channel goes from every layer that it runs through (torch-pruning follows the shortcuts), by the L2 norm of its
    group; widths stay multiples of `round_to`, so that vector registers stay full. Of a student the result is an
    ordinary `student` of other widths; of another network, a module of the same class with narrower layers. Its outputs
    keep their shapes. Train it on, for its accuracy has suffered. example: an input (1, ...) of a network that does not
    take the book's tiles.

    Raises ValueError for a ratio that is none, and for a network that cannot be pruned so; the message says why.
    Source: Fang et al., "DepGraph: towards any structural pruning", CVPR 2023, arXiv:2301.12900.
    """
    import torch_pruning

    if not 0 <= ratio < 1:
        raise ValueError(f"ratio is a share from 0 to below 1, not {ratio}.")
    model, name = copy.deepcopy(model).eval(), type(model).__name__
    one = torch.zeros(1, *INPUT_SHAPE) if example is None else torch.zeros_like(example[:1])
    before, kept = _ends(model, one)
    if any(isinstance(module, nn.MultiheadAttention) for module in model.modules()):
        raise ValueError(f"{name} has attention: whole heads would have to go, which this does not do. Quantise it.")
    parameters = sum(p.numel() for p in model.parameters())
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            pruner = torch_pruning.pruner.BasePruner(
                model,
                one,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=ratio,
                ignored_layers=kept,  # its outputs are the classes
                round_to=round_to,
                iterative_steps=steps,
            )
            for _ in range(steps):
                pruner.step()
        after = {end: value.shape for end, value in leaves(call(model, one)).items()}
    except Exception as error:  # torch-pruning meets layers that it does not know in many ways
        raise ValueError(
            f"channels of {name} cannot be taken out ({first_line(error)}). Quantise it, or train a narrower one."
        ) from error
    if after != before:
        raise ValueError(f"channels of {name} cannot be taken out without changing what it gives: {before} -> {after}.")
    left = sum(p.numel() for p in model.parameters())
    if left > parameters:
        raise ValueError(f"{name} would grow: its layers share weights, and pruned they no longer can. Quantise it.")
    if ratio >= 0.25 and left == parameters:
        raise ValueError(f"nothing could be taken from {name}: no layer has {round_to} channels to spare.")
    if not _is_student(model):
        return model
    smaller = student(**widths(model))
    smaller.load_state_dict(model.state_dict())  # strict: the shapes prove that nothing was left behind
    return smaller.eval()


@torch.no_grad()
def reestimate_batchnorms(model: nn.Module, images: np.ndarray, *, batch: int = 64) -> nn.Module:
    """A copy whose BatchNorms have the statistics of these inputs, uint8 (N, 1, S, S): no labels, no gradients.

    A BatchNorm keeps the mean and variance of what it met in training. Once channels are gone, the layers after them
    meet something else, and stale statistics do more harm than the missing channels. Source of the remedy: J. Yu,
    T. Huang, "Universally slimmable networks", ICCV 2019, section 4.1 (there for slimmed widths).
    Raises ValueError for no inputs.
    """
    if not len(images):
        raise ValueError("statistics need inputs: got none.")
    model = copy.deepcopy(model).eval()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # every batch counts the same
        norm.train()
    for start in range(0, len(images), batch):
        model(torch.from_numpy(images[start : start + batch]))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    return model.eval()


def _is_student(model: nn.Module) -> bool:
    body = getattr(model, "body", None)
    return isinstance(model, Classifier) and all(hasattr(body, part) for part in ("patches", "stem", "blocks", "head"))


def _ends(model: nn.Module, one: torch.Tensor) -> tuple[dict, list[nn.Module]]:
    """Shapes of the outputs by name, and for each output the last layer that has as many channels as it: the classes.

    Raises ValueError where the network does not take `one`.
    """
    ran: list[nn.Module] = []
    layers = [m for m in model.modules() if isinstance(m, _ConvNd | nn.Linear)]  # transposed ones end many networks
    hooks = [layer.register_forward_hook(lambda module, *_: ran.append(module)) for layer in layers]
    try:
        shapes = {end: value.shape for end, value in leaves(call(model, one)).items()}
    except Exception as error:  # a layer that does not fit fails in its own way
        cure = "give `channels` an example of what it takes."
        raise ValueError(does_not_take(type(model).__name__, one.shape[1:], error, cure)) from error
    finally:
        for hook in hooks:
            hook.remove()
    kept = []
    for shape in shapes.values():
        widest = [
            m for m in ran if {getattr(m, "out_features", None), getattr(m, "out_channels", None)} & set(shape[1:])
        ]
        kept += widest[-1:] or ran[-1:]  # flattened, an output no longer has the number of its channels
    return shapes, kept
