"""PyTorch itself, as the reference: eager, and compiled by torch.compile's inductor.

Conversion writes a torch.export program (.pt2): the graph with its weights, loaded without the Python class that made
it. INT8 for PyTorch on a CPU is a matter of the inductor backend; chapter 2 has it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from cvprod.models.own import leaves
from cvprod.runtimes.interface import (
    Description,
    ModelFileError,
    Runtime,
    check_file,
    check_precision,
    check_threads,
    example_of,
    quiet,
    size_of,
)

NAME = "PyTorch"
SUFFIX = ".pt2"
PRECISIONS = ("fp32",)
INSTALL = "torch"


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
) -> Path:
    """Write `model` as an exported program with a symbolic batch and return its path.

    example: an input of another shape or type than the book's tiles. A network that cannot be recorded with a symbolic
    batch gets a fixed one of 1.
    """
    check_precision(precision, PRECISIONS, calibration)
    one = example_of(example)
    path = Path(path).with_suffix(SUFFIX)
    with quiet():
        batch = torch.export.Dim("N", min=1)
        try:
            two = torch.cat([one, one])
            program = torch.export.export(model.eval(), (two,), dynamic_shapes=({0: batch},))
        except Exception:  # torch.export's refusals have no common base
            program = torch.export.export(model.eval(), (one,))
        torch.export.save(program, path)
    return path


def load(path: str | Path, threads: int = 1, *, compiled: bool = False) -> PyTorch:
    """Load an exported program; compiled=True compiles it at the first call (half a minute, needs a C++ compiler)."""
    path = check_file(path, suffix=SUFFIX, magic=b"PK")
    try:
        with quiet():
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # zip, JSON and schema errors: torch.export names no class for a bad file
        raise ModelFileError(f"{path} is damaged or no exported program: convert it again ({error})") from error
    given = next(node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
    one = torch.zeros(1, *given.shape[1:], dtype=given.dtype)
    return PyTorch(module, check_threads(threads), compiled, path, one, isinstance(given.shape[0], int))


def wrap(
    model: torch.nn.Module,
    threads: int = 1,
    *,
    compiled: bool = False,
    example: torch.Tensor | None = None,
    alone: bool = False,
) -> PyTorch:
    """A module that is already in memory behind the interface of the other runtimes. alone: it takes one at a time."""
    return PyTorch(model, check_threads(threads), compiled, None, example_of(example), alone)


def rounded(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """A copy that computes as hardware for `dtype` (bfloat16, float16) does, on a CPU that has none.

    Such hardware multiplies rounded factors and adds the products up in float32. So weights are rounded once, and what
    goes into and comes out of every convolution and linear layer at each call; the arithmetic between stays float32.
    """

    def round_to(value: torch.Tensor) -> torch.Tensor:
        return value.to(dtype).to(value.dtype)

    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            with torch.no_grad():
                for weight in module.parameters():
                    weight.copy_(round_to(weight))
            module.register_forward_pre_hook(lambda _, given: tuple(map(round_to, given)))
            module.register_forward_hook(lambda _, given, found: round_to(found))
    return model


class PyTorch(Runtime):
    """A module, any batch. Sets torch's intra-op threads for its own calls and puts them back."""

    def __init__(
        self, module: torch.nn.Module, threads: int, compiled: bool, path: Path | None, one: torch.Tensor, fixed: bool
    ) -> None:
        self.input, self.dtype = tuple(one.shape[1:]), one.numpy().dtype
        if fixed:
            self.batch, self.fixed = 1, True
        self.path, self.threads, self.compiled = path, threads, compiled
        self._types = {p.dtype for p in module.parameters()}
        # Exported modules refuse .eval(): they were exported in eval mode and stay there.
        self.module = module if path else module.eval()
        if compiled:
            self.module = torch.compile(self.module, dynamic=False)
        else:
            self._try(path)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        before = torch.get_num_threads()
        if before != self.threads:
            torch.set_num_threads(self.threads)
        try:
            # no_grad, not inference_mode: a compiled function would be specialised on inference tensors.
            with torch.no_grad():
                found = leaves(self.module(torch.from_numpy(x)))
        finally:
            if before != self.threads:
                torch.set_num_threads(before)
        self.outputs = tuple(found)
        return [value.numpy() for value in found.values()]

    def describe(self) -> Description:
        names = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
        return Description(
            f"{NAME} {'compiled' if self.compiled else 'eager'}",
            torch.__version__,
            "/".join(sorted(names.get(t, str(t)) for t in self._types)) or "fp32",
            self.threads,
            self.path,
            size_of(self.path) if self.path else sum(t.nbytes for t in self.module.state_dict().values()),
            self.batch,
            "inductor" if self.compiled else "",
        )
