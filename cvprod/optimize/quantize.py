"""Quantisation: INT8 by hand, then by the libraries that run it, and the half-precision formats.

The first half is the arithmetic (affine quantisation, observers, sensitivity), short enough to read in a lesson. The
second half calls ONNX Runtime, torchao and NNCF, which do the same and then *run* it in integers.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper, version_converter
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cvprod.models.evaluation import Predict
from cvprod.models.networks import PIXEL_MEAN, PIXEL_SCALE
from cvprod.quiet import quiet

from .fuse import as_input

# --- by hand -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """The map between real numbers and integers: real = scale * (integer - zero_point).

    `low` and `high` are the integers' range: 0..255 for unsigned bytes, -128..127 for signed ones.
    """

    scale: float
    zero_point: int
    low: int = 0
    high: int = 255

    @classmethod
    def of_range(cls, smallest: float, largest: float, *, bits: int = 8, signed: bool = False) -> Affine:
        """The map that spends `bits` on smallest..largest.

        Zero is always inside, and is hit exactly: padding and ReLU produce it all the time. `signed` maps are
        symmetric about zero (zero_point 0), which is how weights are stored.
        Source: Jacob et al., arXiv:1712.05877, section 2.1.
        """
        if not 2 <= bits <= 16 or not smallest <= largest:
            raise ValueError(f"2 to 16 bits and smallest <= largest, not {bits} bits, {smallest}..{largest}.")
        if signed:
            high = 2 ** (bits - 1) - 1
            reach = max(abs(smallest), abs(largest)) or 1.0
            return cls(reach / high, 0, -high, high)
        smallest, largest, high = min(smallest, 0.0), max(largest, 0.0), 2**bits - 1
        scale = (largest - smallest) / high or 1.0
        return cls(scale, round(-smallest / scale), 0, high)

    def quantize(self, x: Tensor) -> Tensor:
        """Real numbers to integers (int32), rounded to nearest and clipped to the range."""
        return torch.clamp(torch.round(x / self.scale) + self.zero_point, self.low, self.high).int()

    def dequantize(self, q: Tensor) -> Tensor:
        """Integers back to float32."""
        return (q - self.zero_point) * self.scale

    def error(self, x: Tensor) -> float:
        """Mean squared error of a round trip."""
        return float(((self.dequantize(self.quantize(x)) - x) ** 2).mean())


def minmax(x: Tensor, **options) -> Affine:
    """Observer: the whole range. One outlier makes every step wider."""
    return Affine.of_range(float(x.min()), float(x.max()), **options)


def percentile(x: Tensor, keep: float = 99.9, **options) -> Affine:
    """Observer: the range without the outermost (100 - keep) % of values, which will be clipped."""
    tail = (100 - keep) / 2
    smallest, largest = np.percentile(x.numpy(), [tail, 100 - tail])
    return Affine.of_range(float(smallest), float(largest), **options)


def least_squares(x: Tensor, candidates: int = 40, **options) -> Affine:
    """Observer: of `candidates` shrunken ranges, the one with the least mean squared error of a round trip."""
    smallest, largest = float(x.min()), float(x.max())
    shares = np.linspace(1, 1 / candidates, candidates)
    return min(
        (Affine.of_range(smallest * float(s), largest * float(s), **options) for s in shares), key=lambda a: a.error(x)
    )


def fake_quantize_weight(weight: Tensor, bits: int, *, per_channel: bool = True) -> Tensor:
    """Weights (outputs, ...) after a round trip through `bits`-bit integers: a scale per output channel, or one."""
    high = 2 ** (bits - 1) - 1
    reach = weight.abs().flatten(1).amax(1) if per_channel else weight.abs().max().expand(len(weight))
    scale = (reach / high).clamp_min(1e-12).reshape(-1, *[1] * (weight.ndim - 1))
    return torch.clamp(torch.round(weight / scale), -high, high) * scale


def pair_sums(activations: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a CPU without INT8 dot products makes of a sum of products: (as it should be, as it is).

    activations: uint8 (..., 2n); weights: int8, of a shape that broadcasts with it. Returns int32 (..., n), twice.
    The AVX2 instruction VPMADDUBSW multiplies unsigned by signed bytes, adds neighbouring products, and keeps 16 bits:
    a sum beyond -32768..32767 *saturates*, silently. Two products of 8-bit numbers reach 2 * 255 * 127 = 64770.
    Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, PMADDUBSW.
    """
    if activations.dtype != np.uint8 or weights.dtype != np.int8 or activations.shape[-1] % 2:
        raise ValueError(
            f"pair_sums needs uint8 activations of even length and int8 weights, not {activations.dtype} "
            f"{activations.shape} and {weights.dtype}."
        )
    products = activations.astype(np.int32) * weights
    exact = products[..., ::2] + products[..., 1::2]
    limits = np.iinfo(np.int16)
    return exact, exact.clip(limits.min, limits.max)


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers of a network, by name, in order of definition."""
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def _named(model: nn.Module, bits: dict[str, int]) -> dict[str, nn.Module]:
    """The model's layers by name. Raises ValueError where `bits` names one that there is not."""
    known = layers(model)
    if unknown := sorted(set(bits) - set(known)):
        raise ValueError(f"no layer called {', '.join(unknown)}; the layers are {', '.join(known)}.")
    return known


@contextmanager
def quantized_layers(model: nn.Module, bits: dict[str, int]) -> Iterator[None]:
    """Inside, the named layers work with weights and inputs of so many bits (simulated in float32)."""
    known, saved, handles = _named(model, bits), {}, []
    try:
        for name, width in bits.items():
            layer = known[name]
            saved[name] = layer.weight.data
            layer.weight.data = fake_quantize_weight(layer.weight.data, width)

            def round_trip(module, inputs, width=width):
                rule = minmax(inputs[0], bits=width)
                return (rule.dequantize(rule.quantize(inputs[0])),)

            handles.append(layer.register_forward_pre_hook(round_trip))
        yield
    finally:
        for name, weight in saved.items():
            known[name].weight.data = weight
        for handle in handles:
            handle.remove()


class StraightThrough(nn.Module):
    """Weights after a round trip through so many bits; the gradient passes as if nothing had been rounded."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (fake_quantize_weight(weight, self.bits) - weight).detach()


@contextmanager
def straight_through(model: nn.Module, bits: dict[str, int]) -> Iterator[None]:
    """Inside, the named layers compute as in `quantized_layers`, and can be trained.

    Rounding is flat almost everywhere, so its gradient is zero and nothing would be learnt. The straight-through
    estimator takes 1 in its place. Afterwards the layers hold the float weights that were learnt: round those.
    Source: Y. Bengio, N. Leonard, A. Courville, "Estimating or propagating gradients through stochastic neurons",
    arXiv:1308.3432. Raises ValueError for an unknown layer.
    """
    known, handles = _named(model, bits), []
    try:
        for name, width in bits.items():
            parametrize.register_parametrization(known[name], "weight", StraightThrough(width))

            def round_trip(module, inputs, width=width):
                (x,) = inputs
                rule = minmax(x.detach(), bits=width)
                return (x + (rule.dequantize(rule.quantize(x)) - x).detach(),)

            handles.append(known[name].register_forward_pre_hook(round_trip))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for name in bits:
            if parametrize.is_parametrized(known[name]):
                parametrize.remove_parametrizations(known[name], "weight", leave_parametrized=False)


@torch.inference_mode()
def sensitivity(model: nn.Module, images: np.ndarray, *, bits: int = 8) -> dict[str, float]:
    """How much each layer alone, at `bits` bits, disturbs the answer: mean KL divergence from the float32 one [nat].

    No labels are needed, and the divergence moves long before the accuracy does.
    """
    pixels = torch.from_numpy(images)
    truth = model(pixels).log_softmax(1)
    scores = {}
    for name in layers(model):
        with quantized_layers(model, {name: bits}):
            answer = model(pixels).log_softmax(1)
        scores[name] = float((truth.exp() * (truth - answer)).sum(1).mean())
    return scores


def mixed_precision(scores: dict[str, float], share: float, *, low: int = 4, high: int = 8) -> dict[str, int]:
    """Bits for each layer: `high` for the most sensitive `share` (0..1) of the layers, `low` for the others."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}.")
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    kept = set(ranked[: round(share * len(ranked))])
    return {name: high if name in kept else low for name in scores}


def weight_bytes(model: nn.Module, bits: dict[str, int] | None = None) -> int:
    """Bytes of all weights when the named layers take so many bits and everything else float32."""
    bits = bits or {}
    named = {f"{name}.weight": width for name, width in bits.items()}
    return sum(p.numel() * named.get(name, 32) for name, p in model.named_parameters()) // 8


# --- half precision ----------------------------------------------------------------------------------------


def reduced(model: nn.Module, dtype: torch.dtype) -> Predict:
    """The network in float16 or bfloat16 on the CPU, weights and activations; answers in float32.

    Channels come last in memory: where a CPU has no such arithmetic, PyTorch's convolutions take a fifth of the time.
    """
    model = copy.deepcopy(model).to(dtype, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(np.ascontiguousarray(images)).split(64)
        return torch.cat([model(part).float() for part in parts]).numpy()

    return predict


# --- ONNX Runtime ------------------------------------------------------------------------------------------


def static_qdq(
    source: str | Path,
    target: str | Path,
    images: np.ndarray,
    *,
    activation: str = "uint8",
    weight: str = "int8",
    per_channel: bool = True,
    method: str = "minmax",
    weight_bits: int = 7,
    exclude: Sequence[str] = (),
    bytes_in: bool = False,
) -> Path:
    """Post-training INT8: a float ONNX file to one whose tensors carry Quantize/Dequantize pairs.

    images: uint8 (N, 1, S, S) calibration tiles, a few hundred of what the line really makes. activation: "uint8" or
    "int8" (signed activations miss the fast kernels of most x86 CPUs). weight: "int8" or "uint8". method: "minmax",
    "percentile" or "entropy".
    weight_bits: 7 keeps weights within -64..64 of their byte, so that the file gives the same answers on a CPU whose
    multiply-add saturates (see `pair_sums`); 8 is for those that all have dot products. exclude: names of nodes or
    operator types that stay in float. bytes_in: see `accept_bytes`.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    methods = {m.name.lower(): m for m in CalibrationMethod}
    types = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
    if weight_bits not in (7, 8):
        raise ValueError(f"weight_bits must be 7 or 8, not {weight_bits}.")
    if method not in methods or {activation, weight} - set(types):
        raise ValueError(f"unknown method {method!r}, activation {activation!r} or weight {weight!r}; there are "
                         f"{sorted(methods)} and {sorted(types)}.")  # fmt: skip
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, quiet():
        ready, excluded = prepared(source, folder, exclude=exclude)
        graph = onnx.load(ready).graph
        constants = {tensor.name for tensor in graph.initializer}  # which old files list as inputs, too
        quantize_static(
            str(ready),
            str(target),
            _Reader(next(value for value in graph.input if value.name not in constants), images),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            reduce_range=weight_bits == 7,
            activation_type=types[activation],
            weight_type=types[weight],
            calibrate_method=methods[method],
            nodes_to_exclude=excluded,
        )
    return accept_bytes(target, target) if bytes_in else target


#: ONNX operator sets whose quantised operators take a scale per channel and are in every ONNX Runtime; the files of
#: others are converted first.
_OPSETS = (13, 21)


def prepared(source: str | Path, folder: str | Path, *, exclude: Sequence[str] = ()) -> tuple[Path, list[str]]:
    """A float ONNX file as ONNX Runtime's quantiser wants it, in `folder`, and the names of nodes to leave in float.

    Those are nodes in `exclude` (names or operator types), and every Softmax: its output would be rounded to 1/256,
    where a thousand classes share 1. Raises ValueError for a file that is quantised already.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(source)  # with the weights that may lie beside it
    if any("Quantize" in node.op_type or node.op_type.startswith("QLinear") for node in model.graph.node):
        raise ValueError("the file is quantised already")
    given, ready = Path(folder) / "given.onnx", Path(folder) / "prepared.onnx"
    opset = next((held.version for held in model.opset_import if held.domain in ("", "ai.onnx")), 0)
    wanted = min(max(opset, _OPSETS[0]), _OPSETS[1])
    if opset != wanted:
        model = version_converter.convert_version(model, wanted)
    onnx.save(model, given)
    quant_pre_process(str(given), str(ready), skip_symbolic_shape=True)
    nodes = onnx.load(ready).graph.node
    return ready, [node.name for node in nodes if {node.name, node.op_type} & {*exclude, "Softmax"}]


class _Reader:
    """What ONNX Runtime asks for calibration tiles, in batches of 32, or of what the file takes."""

    def __init__(self, value: onnx.ValueInfoProto, images: np.ndarray) -> None:
        kind = value.type.tensor_type
        dtype, size = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type), kind.shape.dim[0].dim_value
        whole = len(images) // size * size if size else len(images)
        parts = (as_input(images[i : i + (size or 32)], dtype) for i in range(0, whole, size or 32))
        self.batches = iter([{value.name: part} for part in parts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def accept_bytes(source: str | Path, target: str | Path) -> Path:
    """Let the camera's bytes *be* the first quantised tensor, and drop the arithmetic that would remake them.

    A quantised graph begins with cast, subtract 128, divide by 64, (rearrange,) quantise. Quantisation with scale 1/64
    and zero point 128 undoes that arithmetic exactly: all that is left of it is the rearranging, done on bytes.
    Raises ValueError for a graph that does not begin so.
    """
    model = onnx.load(source)
    graph = model.graph
    users = {name: node for node in graph.node for name in node.input}
    chain, name = [], graph.input[0].name
    while not chain or chain[-1].op_type != "QuantizeLinear":
        if name not in users or users[name].op_type not in _BEFORE_QUANTIZE:
            raise ValueError(f"{source}: the graph does not begin with cast, subtract, divide, quantise.")
        chain.append(users[name])
        name = chain[-1].output[0]
    if [node.op_type for node in chain[:3]] != ["Cast", "Sub", "Div"]:
        raise ValueError(f"{source}: the graph does not begin with cast, subtract, divide.")
    quantise, last = chain[-1], graph.input[0].name
    for node in chain:
        if node.op_type in ("Cast", "Sub", "Div", "QuantizeLinear"):
            graph.node.remove(node)
        else:
            node.input[0], last = last, node.output[0]
    users[name].input[0] = last  # the DequantizeLinear that follows
    constants = {
        quantise.input[1]: np.float32(1 / PIXEL_SCALE),
        quantise.input[2]: np.uint8(PIXEL_MEAN),
    }
    for tensor in graph.initializer:
        if tensor.name in constants:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(constants[tensor.name]), tensor.name))
    del graph.value_info[:]  # their types changed from float to uint8
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return Path(target)


_BEFORE_QUANTIZE = ("Cast", "Sub", "Div", "Reshape", "Transpose", "SpaceToDepth", "QuantizeLinear")


# --- torchao (PyTorch 2 export) ----------------------------------------------------------------------------


def pt2e(model: nn.Module, images: np.ndarray, *, train: Callable[[nn.Module], object] | None = None) -> nn.Module:
    """INT8 by torchao's PyTorch-2 export path, with the rules of PyTorch's own x86 backend.

    Post-training by default: `images` (uint8 (N, 1, S, S)) calibrate the observers. With `train`, quantisation-aware:
    the function gets a network that already rounds like INT8, trains it, and the rounding is learnt around.
    Returns a module with explicit quantise/dequantise operators; torch.compile turns those into integer kernels.
    """
    from torchao.quantization.pt2e import allow_exported_model_train_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    example = torch.from_numpy(images[:2])
    model = copy.deepcopy(model)
    model = model.train() if train else model.eval()
    with quiet():
        exported = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
        rules = x86.X86InductorQuantizer()
        rules.set_global(x86.get_default_x86_inductor_quantization_config(is_qat=train is not None))
        prepared = prepare_qat_pt2e(exported, rules) if train else prepare_pt2e(exported, rules)
        allow_exported_model_train_eval(prepared)
        if train:
            train(prepared)
            prepared.eval()
        else:  # was recorded in eval mode
            with torch.inference_mode():
                for start in range(0, len(images), 64):
                    prepared(torch.from_numpy(images[start : start + 64]))
        converted = convert_pt2e(prepared)
        allow_exported_model_train_eval(converted)
    converted.eval()  # on an exported module it returns nothing
    return converted


# --- OpenVINO and NNCF -------------------------------------------------------------------------------------


def openvino_predict(
    model: str | Path | object, *, precision: str | None = None, threads: int = 1
) -> tuple[Predict, str]:
    """A file or openvino.Model as a `predict` function, and the precision in which OpenVINO really computes.

    precision: None leaves the choice to OpenVINO, which takes bfloat16 where the CPU has it, whatever the file says;
    "f32" insists.
    """
    import openvino as ov

    core = ov.Core()
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        config["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(str(model) if isinstance(model, str | Path) else model, "CPU", config)
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    request = compiled.create_infer_request()

    def predict(images: np.ndarray) -> np.ndarray:
        return np.array(request.infer([np.ascontiguousarray(images)], share_inputs=True)[0])

    return predict, chosen


def nncf_int8(path: str | Path, images: np.ndarray) -> object:
    """Post-training INT8 by NNCF from an ONNX file: an openvino.Model, calibrated on uint8 tiles (N, 1, S, S)."""
    import nncf
    import openvino as ov

    with quiet():
        model = ov.convert_model(str(path))
        size = model.input(0).partial_shape[0]
        size = size.get_length() if size.is_static else 1
        data = nncf.Dataset([images[i : i + size] for i in range(0, len(images) - size + 1, size)])
        return nncf.quantize(model, data, subset_size=len(images))


def openvino_bytes(model: object) -> int:
    """Bytes on disk of an openvino.Model: its graph and its weights (stored in float16 where that is the default)."""
    import openvino as ov

    with tempfile.TemporaryDirectory() as folder:
        ov.save_model(model, Path(folder) / "model.xml")
        return sum(path.stat().st_size for path in Path(folder).iterdir())
