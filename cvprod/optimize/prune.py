"""Pruning: taking weights away, one by one (unstructured) or channel by channel (structured)."""

from __future__ import annotations

import copy
import gzip
import io
import warnings

import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from cvprod.models.networks import INPUT_SHAPE, Classifier

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


def channels(model: Classifier, ratio: float, *, round_to: int = 8, steps: int = 1) -> Classifier:
    """A smaller student from which the `ratio` (0..1) least important channels are really gone.

    A channel goes from every layer that it runs through (torch-pruning follows the shortcuts), by the L2 norm of its
    group; widths stay multiples of `round_to`, so that vector registers stay full. The result is an ordinary `student`
    of other widths with the surviving weights; train it on, for its accuracy has suffered.
    Source: Fang et al., "DepGraph: towards any structural pruning", CVPR 2023, arXiv:2301.12900.
    """
    import torch_pruning

    if not 0 <= ratio < 1:
        raise ValueError(f"ratio is a share from 0 to below 1, not {ratio}.")
    model = copy.deepcopy(model).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.BasePruner(
            model,
            torch.zeros(1, *INPUT_SHAPE),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=[model.body.head],  # its outputs are the classes
            round_to=round_to,
            iterative_steps=steps,
        )
        for _ in range(steps):
            pruner.step()
    smaller = student(**widths(model))
    smaller.load_state_dict(model.state_dict())  # strict: the shapes prove that nothing was left behind
    return smaller.eval()
