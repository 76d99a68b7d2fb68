"""OpenVINO: Intel's converter, quantiser (NNCF) and runtime for x86 and Arm CPUs, Intel GPUs and NPUs.

Conversion: openvino.convert_model straight from the PyTorch module (the Model Optimizer's successor; `ovc` on the
command line); INT8: nncf.quantize (the successor of POT). Serving: openvino.Core (the Inference Engine's successor).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from cvprod.models.own import onnx_bytes
from cvprod.optimize.fuse import recordable
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
    static,
    version,
)

NAME = "OpenVINO"
SUFFIX = ".xml"
PRECISIONS = ("fp32", "fp16", "int8")
INSTALL = "openvino"
INSTALL_CONVERTER = "openvino nncf"


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
) -> Path:
    """Write `model` as OpenVINO IR (.xml for the graph, .bin beside it for the weights) and return the .xml path.

    The batch is dynamic, or 1 for a network that takes no two examples. example: an input of another shape or type than
    the book's tiles. fp16 halves the file: weights are stored so, and computed with in the type `load` asks for.
    """
    data, one = check_precision(precision, PRECISIONS, calibration, example), example_of(example)
    path = Path(path).with_suffix(SUFFIX)
    ov = need("openvino", INSTALL)
    with quiet(native=True), torch.no_grad():
        network, shape = recordable(model, one), list(one.shape[1:])
        try:
            graph = ov.convert_model(network, example_input=torch.cat([one, one]), input=[-1, *shape])
        except Exception:  # a network that takes one example at a time fails in its own way
            graph = ov.convert_model(network, example_input=one, input=[1, *shape])
        if data is not None:
            graph = quantize(graph, data)
        ov.save_model(graph, str(path), compress_to_fp16=precision == "fp16")
    return path


def quantize(graph, calibration: np.ndarray):
    """Post-training static INT8 of an openvino.Model; calibration in its input's shape and type, (N, *input).

    Activations range from the smallest to the largest value of any tile. NNCF's default averages the extremes of single
    tiles, which clips the brightest of them.
    """
    nncf = need("nncf", INSTALL_CONVERTER)
    advanced = need("nncf.quantization.advanced_parameters", INSTALL_CONVERTER)
    estimators = need("nncf.quantization.range_estimator", INSTALL_CONVERTER)
    with quiet(native=True):
        extremes = advanced.AdvancedQuantizationParameters(
            activations_range_estimator_params=estimators.RangeEstimatorParametersSet.MINMAX
        )
        size = graph.input(0).partial_shape[0]
        size = size.get_length() if size.is_static else 1
        tiles = nncf.Dataset([calibration[i : i + size] for i in range(0, len(calibration) - size + 1, size)])
        return nncf.quantize(graph, tiles, subset_size=len(calibration), advanced_parameters=extremes)


def inspect(path: str | Path) -> dict:
    """What an .xml holds: bytes with its weights, and how many nodes of each operation."""
    ov, path = need("openvino", INSTALL), check_file(path, suffix=SUFFIX)
    operations = Counter(node.get_type_name() for node in ov.Core().read_model(str(path)).get_ops())
    return {"bytes": size_of(path) + size_of(path.with_suffix(".bin")), "operations": operations}


def load(
    path: str | Path,
    threads: int = 1,
    *,
    compute: str | None = "f32",
    device: str = "CPU",
    input: tuple[int, ...] | None = None,
) -> OpenVINO:
    """Load an OpenVINO .xml (or an .onnx file: the same engine reads both).

    compute: type of the arithmetic that is not INT8: "f32", "bf16", "f16", or None to leave the choice to OpenVINO,
    which takes bf16 on CPUs that have it, without a word. `describe()` says what was taken. input: shape of one
    example, for a file that leaves it open.
    """
    path = Path(path)
    path = check_file(path, suffix=path.suffix.lower() if path.suffix.lower() == ".onnx" else SUFFIX)
    if path.suffix == SUFFIX and not path.with_suffix(".bin").exists():
        raise ModelFileError(f"{path} has lost its weights: {path.with_suffix('.bin').name} must lie beside it")
    return OpenVINO(path, check_threads(threads), compute, device, input)


class OpenVINO(Runtime):
    """A compiled model; any batch that its file takes."""

    def __init__(
        self, path: Path, threads: int, compute: str | None, device: str, input: tuple[int, ...] | None
    ) -> None:
        ov = need("openvino", INSTALL)
        self.path, self.threads = path, threads
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        if compute is not None:
            config["INFERENCE_PRECISION_HINT"] = compute
        try:
            self.compiled = ov.Core().compile_model(str(path), device, config)
        except RuntimeError as error:
            raise ModelFileError(f"{path} is damaged or no OpenVINO model: convert it again ({error})") from error
        self._request = self.compiled.create_infer_request()
        if len(self.compiled.inputs) != 1:
            raise ModelFileError(f"{path} takes {len(self.compiled.inputs)} inputs, not one")
        given = self.compiled.input(0)
        size, *shape = (d.get_length() if d.is_static else None for d in given.partial_shape)
        self.input, self.dtype = input or static(shape, path), np.dtype(given.element_type.to_dtype())
        if size is not None:
            self.batch, self.fixed = size, True
        self._try(path)
        self.outputs = tuple(min(o.names, default=f"output {i}") for i, o in enumerate(self.compiled.outputs))

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        # share_inputs: no copy in; the copies out are ours, because the request reuses its buffers at the next call.
        answer = self._request.infer({0: x}, share_inputs=True)
        return [answer[output].copy() for output in self.compiled.outputs]

    def describe(self) -> Description:
        kinds = convolution_types(self.compiled)
        weights = self.path.with_suffix(".bin") if self.path.suffix == SUFFIX else None
        size = size_of(self.path) + size_of(weights) if weights else onnx_bytes(self.path)
        return Description(
            NAME,
            version("openvino"),
            "/".join(sorted(kinds)),
            int(self.compiled.get_property("INFERENCE_NUM_THREADS")),
            self.path,
            size,
            self.batch,
            f"{self.compiled.get_property('EXECUTION_DEVICES')[0]}, LATENCY hint",
        )


_TYPES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "u8": "int8", "i8": "int8"}


def convolution_types(compiled) -> set[str]:
    """Types in which the executed graph computes its convolutions, from the runtime's own account of it; of a network
    without any, its matrix products."""
    found: dict[str, set[str]] = {"Convolution": set(), "FullyConnected": set(), "MatMul": set()}
    for operation in compiled.get_runtime_model().get_ops():
        info = operation.get_rt_info()
        kind, layer = (info[key].astype(str) for key in ("runtimePrecision", "layerType"))
        for start, kinds in found.items():
            if layer.startswith(start):
                kinds.add(_TYPES.get(kind, kind))
    return found["Convolution"] or found["FullyConnected"] | found["MatMul"] or {"unknown"}
