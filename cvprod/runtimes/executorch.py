"""ExecuTorch, the successor of PyTorch Mobile: an exported program in a .pte file and a small C++ runtime.

Conversion: torch.export, lowered to the XNNPACK backend; INT8: torchao's pt2e with XNNPACKQuantizer (per-channel
weights, static activations). Serving: executorch.runtime, the same runtime that the phone links.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cvprod.optimize.fuse import recordable
from cvprod.quiet import uncollected
from cvprod.runtimes.interface import (
    Description,
    ModelFileError,
    Runtime,
    check_file,
    check_precision,
    check_threads,
    example_of,
    need,
    quiet,
    size_of,
    version,
)

NAME = "ExecuTorch"
SUFFIX = ".pte"
PRECISIONS = ("fp32", "int8")
INSTALL = "executorch torchao"
#: Method of our programs that returns the bits of the arithmetic.
BITS = "arithmetic_bits"


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
) -> Path:
    """Write `model` as a .pte program of batch 1 for the XNNPACK backend and return its path.

    example: an input of another shape than the book's tiles.
    """
    data, one = check_precision(precision, PRECISIONS, calibration, example), example_of(example)
    path = Path(path).with_suffix(SUFFIX)
    need("executorch.exir", INSTALL, chatty=True)
    with quiet(native=True), uncollected(), torch.no_grad():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        network = recordable(model, one)
        if data is not None:
            network = quantize(network, data)
        exported = torch.export.export(network, (one,))
        # XNNPACK's graph is a closed blob in the file; what it computes in travels beside it, as a method of its own.
        quantised = any("quantize_per_tensor" in str(node.target) for node in exported.graph.nodes)
        program = to_edge_transform_and_lower(
            exported,
            partitioner=[XnnpackPartitioner()],
            constant_methods={BITS: 8 if quantised else 32},
        ).to_executorch()
    path.write_bytes(program.buffer)
    return path


def quantize(model: torch.nn.Module, calibration: np.ndarray) -> torch.nn.Module:
    """A graph module with quantise/dequantise pairs where XNNPACK computes in INT8; calibration float32."""
    need("torchao", INSTALL)
    with quiet(native=True), uncollected(), torch.no_grad():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        # Those with batch norm are for training; prepare_pt2e folds it before it looks for patterns. To search for one
        # it exports an example of it, which takes as long as all else here.
        quantizer.SUPPORTED_PATTERNS = [p for p in quantizer.SUPPORTED_PATTERNS if not p.is_qat]
        tiles = torch.from_numpy(calibration)
        graph = torch.export.export(model.eval(), (tiles[:1],)).module()
        prepared = prepare_pt2e(graph, quantizer)
        for tile in tiles:
            prepared(tile[None])
        return convert_pt2e(prepared)


def load(path: str | Path, threads: int = 1) -> ExecuTorch:
    """Load a .pte file. Raises ModelFileError, MissingRuntimeError.

    ExecuTorch has one thread pool a process: loading with another number of threads changes it for every program.
    """
    path = check_file(path, suffix=SUFFIX, magic=b"ET12", offset=4)
    return ExecuTorch(path, check_threads(threads))


class ExecuTorch(Runtime):
    """A loaded method `forward` of the file's batch, usually 1; larger ones loop."""

    batch = 1

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        runtime = need("executorch.runtime", INSTALL)
        self._pool = need("executorch.extension.pybindings.portable_lib", INSTALL)
        try:
            with quiet(native=True):
                self._size_pool()
                self.program = runtime.Runtime.get().load_program(path)
                self.method = self.program.load_method("forward")
                if self.method is None:
                    raise RuntimeError("it has no method 'forward'")
                size, *shape = self.method.metadata.input_tensor_meta(0).sizes()
                self.batch, self.fixed, self.input = size, True, tuple(shape)
                self._try(path)
        except RuntimeError as error:
            raise ModelFileError(f"{path} is damaged or no program of this case: convert it again ({error})") from error

    def _size_pool(self) -> None:
        if self._pool._threadpool_get_thread_count() != self.threads:
            self._pool._unsafe_reset_threadpool(self.threads)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        self._size_pool()
        return [value.numpy() for value in self.method.execute((torch.from_numpy(x),))]

    def _precision(self) -> str:
        if BITS not in self.program.method_names:
            return "unknown"
        return {8: "int8", 32: "fp32"}.get(self.program.load_method(BITS).execute(())[0], "unknown")

    def describe(self) -> Description:
        return Description(
            NAME,
            version("executorch"),
            self._precision(),
            self.threads,
            self.path,
            size_of(self.path),
            self.batch,
            "XNNPACK backend",
        )
