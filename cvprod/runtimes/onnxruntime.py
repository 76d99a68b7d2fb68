"""ONNX and ONNX Runtime: one file that most engines read, and the engine that reads it on most machines.

Conversion: torch.onnx.export (dynamo) with a symbolic batch; INT8: onnxruntime.quantization, static, QDQ format: pairs
of QuantizeLinear/DequantizeLinear nodes, which TensorRT and OpenVINO read as well. Serving: onnxruntime.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from cvprod.models.own import onnx_bytes, output_names
from cvprod.optimize.fuse import record, recordable
from cvprod.quiet import uncollected
from cvprod.runtimes.interface import (
    Description,
    ModelFileError,
    Runtime,
    UnsupportedPlatformError,
    check_file,
    check_precision,
    check_threads,
    checked,
    example_of,
    need,
    quiet,
    static,
    version,
)

NAME = "ONNX Runtime"
SUFFIX = ".onnx"
PRECISIONS = ("fp32", "int8")
INSTALL = "onnxruntime"
INSTALL_CONVERTER = "onnx onnxscript"
INPUT_NAME, OUTPUT_NAME = "tiles", "logits"
OPSET = 20


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
    opset: int = OPSET,
) -> Path:
    """Write `model` as one .onnx file with a symbolic batch `N`, checked, and return its path.

    example: an input of another shape or type than the book's tiles. opset: the ONNX operator set; an engine reads
    models up to its own, so a lower one travels further. A network that cannot be recorded with a symbolic batch, or
    gives another answer for it, gets a fixed one of 1.
    """
    data, one = check_precision(precision, PRECISIONS, calibration, example), example_of(example)
    path = Path(path).with_suffix(SUFFIX)
    onnx = need("onnx", INSTALL_CONVERTER)
    need("onnxscript", INSTALL_CONVERTER)
    network = recordable(model, one)
    names = output_names(network, one)
    with quiet(native=True), uncollected():
        batch = torch.export.Dim("N", min=1)
        record(network, one, path, input_name=INPUT_NAME, outputs=names, batch=batch, opset=opset)
    onnx.checker.check_model(str(path), full_check=True)
    if data is not None:
        quantize(path, path, data)
    return path


#: Quantisation as each engine wants it: activations, 7-bit weights, options. CPUs multiply unsigned activations by
#: signed weights, and those without dot products saturate where weights use all 8 bits; TensorRT wants both signed and
#: symmetric, weights still float behind their own Q/DQ pair, and biases left alone.
_SCHEMES = {
    "cpu": ("QUInt8", True, {"WeightSymmetric": True}),
    "tensorrt": ("QInt8", False, {"ActivationSymmetric": True, "AddQDQPairToWeight": True, "QuantizeBias": False}),
}


def quantize(source: Path, path: Path, calibration: np.ndarray, *, target: str = "cpu") -> Path:
    """Make a static INT8 (QDQ) file from a float one: calibration is uint8 or the file's own type (N, *its input).

    target: "cpu" or "tensorrt", which differ in what they accept. Weights are scaled per output channel.
    """
    activations, seven_bits, options = _SCHEMES[target]
    quantization = need("onnxruntime.quantization", INSTALL)
    from cvprod.optimize.quantize import prepared  # needs the converter's packages, which running a file does not

    with tempfile.TemporaryDirectory() as folder, quiet(native=True):
        ready, excluded = prepared(source, folder)
        quantization.quantize_static(
            str(ready),
            str(path),
            _Tiles(ready, calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=seven_bits,
            activation_type=quantization.QuantType[activations],
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=excluded,
            extra_options=dict(options),
        )
    return path


class _Tiles:
    """Calibration examples one batch at a time, as onnxruntime.quantization reads them."""

    def __init__(self, file: Path, tiles: np.ndarray, batch: int = 32) -> None:
        taken = need("onnxruntime", INSTALL).InferenceSession(str(file), session_options()).get_inputs()[0]
        self._name, (size, *shape) = taken.name, taken.shape
        shape = [side if isinstance(side, int) else given for side, given in zip(shape, tiles.shape[1:], strict=True)]
        tiles = checked(tiles, tuple(shape), _TYPES[taken.type])
        batch = size if isinstance(size, int) else batch
        whole = len(tiles) if not isinstance(size, int) else max(1, len(tiles) // size) * size
        self._batches: Iterator[np.ndarray] = (tiles[i : i + batch] for i in range(0, whole, batch))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch by input name; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def inspect(path: str | Path) -> dict:
    """What an .onnx file says of itself: opset, input and output (name -> shape), how many nodes of each operator."""
    onnx = need("onnx", INSTALL_CONVERTER)
    model = onnx.load(str(check_file(path, suffix=SUFFIX)))

    def shapes(ends) -> dict[str, list]:
        return {end.name: [d.dim_param or d.dim_value for d in end.type.tensor_type.shape.dim] for end in ends}

    return {
        "opset": model.opset_import[0].version,
        "inputs": shapes(model.graph.input),
        "outputs": shapes(model.graph.output),
        "operators": Counter(node.op_type for node in model.graph.node),
    }


def load(
    path: str | Path,
    threads: int = 1,
    *,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    optimise: str = "all",
    input: tuple[int, ...] | None = None,
) -> OnnxRuntime:
    """Load an .onnx file.

    providers: execution providers in order of preference, e.g. ("CUDAExecutionProvider", "CPUExecutionProvider").
    optimise: as in `session_options`; "disable" computes a Q/DQ file as it is written, in float, for whichever machine
    it was made. input: shape of one example, for a file that leaves it open.

    Raises ModelFileError, MissingRuntimeError, and UnsupportedPlatformError for a provider that this build lacks:
    ONNX Runtime itself would only warn and run on the CPU.
    """
    path = check_file(path, suffix=SUFFIX)
    return OnnxRuntime(path, check_threads(threads), tuple(providers), optimise, input)


def session_options(threads: int = 1, *, optimise: str = "all", spin: bool = False):
    """Options as the book serves: that many threads, one graph at a time, no spinning.

    optimise: disable, basic, extended or all, the levels of graph optimisation. spin: let idle threads wait awake,
    which is ONNX Runtime's own default.
    """
    ort = need("onnxruntime", INSTALL)
    options = ort.SessionOptions()
    options.intra_op_num_threads = check_threads(threads)
    options.inter_op_num_threads = 1
    if optimise not in _LEVELS:
        raise ValueError(f"optimise must be one of {', '.join(_LEVELS)}, not {optimise!r}")
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{_LEVELS[optimise]}")
    # Idle threads sleep instead of spinning: on a shared box they would take the cores that decode the next image.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.log_severity_level = 3
    return options


_LEVELS = {"disable": "DISABLE_ALL", "basic": "ENABLE_BASIC", "extended": "ENABLE_EXTENDED", "all": "ENABLE_ALL"}


#: Types of a file's input that pictures come in.
_TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
}  # fmt: skip


class OnnxRuntime(Runtime):
    """An InferenceSession; any batch that its file takes."""

    def __init__(
        self, path: Path, threads: int, providers: tuple[str, ...], optimise: str, input: tuple[int, ...] | None
    ) -> None:
        ort = need("onnxruntime", INSTALL)
        missing = [name for name in providers if name not in ort.get_available_providers()]
        if missing:
            raise UnsupportedPlatformError(
                f"this onnxruntime has no {', '.join(missing)}; it has {', '.join(ort.get_available_providers())}. "
                "CUDA and TensorRT come with onnxruntime-gpu, Core ML with the macOS wheel"
            )
        self.path, self.threads = path, threads
        options = session_options(threads, optimise=optimise)
        try:
            self.session = ort.InferenceSession(str(path), options, providers=list(providers))
        except Exception as error:  # ONNX Runtime has one exception class a status code, and no common base
            raise ModelFileError(f"{path} is damaged or no ONNX model: convert it again ({error})") from error
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) < 2:
            took = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise ModelFileError(f"{path} takes {took}, not one input of pixels with its batch")
        self._input, self.dtype = inputs[0].name, np.dtype(_TYPES[inputs[0].type])
        self.input = input or static(inputs[0].shape[1:], path)
        self.outputs = tuple(output.name for output in self.session.get_outputs())
        if isinstance(inputs[0].shape[0], int):
            self.batch, self.fixed = inputs[0].shape[0], True
        self._try(path)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {self._input: x})

    def describe(self) -> Description:
        onnx = need("onnx", INSTALL_CONVERTER)
        model = onnx.load(str(self.path), load_external_data=False)
        nodes = {node.op_type for node in model.graph.node}
        return Description(
            NAME,
            version("onnxruntime"),
            "int8" if {"QuantizeLinear", "QLinearConv", "ConvInteger"} & nodes else "fp32",
            self.threads,
            self.path,
            onnx_bytes(self.path, model),
            self.batch,
            self.session.get_providers()[0],
        )
