"""Layer fusion and operator optimisation: the same answers from fewer operations.

Everything here keeps the function that the network computes; only the arithmetic is arranged anew.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from cvprod.models import INPUT_SHAPE
from cvprod.models.evaluation import Predict
from cvprod.models.own import does_not_take, leaves, output_names, reason
from cvprod.quiet import quiet, uncollected

#: Types of a file's input that pictures come in.
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def fold_conv_bn(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that does what `bn(conv(x))` does in eval mode.

    BatchNorm at inference is a scale and a shift per channel, y = (x - mean) / sqrt(var + eps) * gamma + beta, and a
    convolution is linear: the scale goes into its weights and the shift into its bias.
    Source: Jacob et al., "Quantization and training of neural networks", arXiv:1712.05877, section 3.2.
    """
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
    bias = torch.zeros_like(bn.running_mean) if conv.bias is None else conv.bias
    folded.bias = nn.Parameter((bias - bn.running_mean) * scale + bn.bias)
    return folded


@torch.no_grad()
def fold_batchnorms(model: nn.Module) -> nn.Module:
    """A copy in eval mode in which every BatchNorm that directly follows a convolution is folded into it.

    Looks at neighbours of the same container, which is where torchvision's networks and the student have them. Keeps a
    BatchNorm of another width than the convolution's, or without weights or statistics of its own.
    """
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        names = list(parent._modules)
        for first, second in itertools.pairwise(names):
            conv, bn = parent._modules[first], parent._modules[second]
            if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d) and _fit(conv, bn):
                parent._modules[first] = fold_conv_bn(conv, bn)
                parent._modules[second] = nn.Identity()
    return model


def _fit(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> bool:
    return bn.affine and bn.running_var is not None and bn.num_features == conv.out_channels


def count(model: nn.Module, kind: type[nn.Module]) -> int:
    """How many modules of one kind a network holds."""
    return sum(isinstance(module, kind) for module in model.modules())


@torch.no_grad()
def recordable(model: nn.Module, example: torch.Tensor | None = None) -> nn.Module:
    """A copy in eval mode that computes the same and is quicker to record: it halves the time to export MobileNet.

    BatchNorms are folded, which exporters do only after they have taken them apart, and activations write new tensors,
    which recording makes of them anyway. A network whose modules do not stand in the order of its data, so that the
    fold is wrong, keeps its BatchNorms. example: an input (1, ...) of another shape or type than the book's tiles.
    """
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    folded = fold_batchnorms(model)
    if count(folded, nn.BatchNorm2d) == count(model, nn.BatchNorm2d):
        return model
    pixels = torch.rand(2, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0)) * 255
    if example is not None:  # of one image: somebody's network may take no two
        pixels = torch.from_numpy(np.random.default_rng(0).random(tuple(example.shape)) * 255).to(example.dtype)
    answers = [[value.float() for value in leaves(net(pixels)).values()] for net in (folded, model)]
    same = all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-3) for a, b in zip(*answers, strict=True))
    return folded if same else model


def export(
    model: nn.Module, path: str | Path, *, dtype: torch.dtype = torch.uint8, example: torch.Tensor | None = None
) -> Path:
    """Write the network as one ONNX file: input `pixels` (batch, 1, 96, 96) of `dtype`, output `logits` (batch, 7).

    The batch is dynamic. torch.export records the graph, and the exporter writes it in ONNX's operators. example: an
    input (1, ...) of another shape and type; such a network may also give several outputs, and gets a fixed batch of 1
    where it cannot be recorded with a dynamic one.

    Raises ValueError where the network does not take such an input, or cannot be exported at all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    one = torch.zeros(1, *INPUT_SHAPE).to(dtype) if example is None else torch.zeros_like(example[:1])
    try:
        names = output_names(model.eval(), one)
    except Exception as error:  # a layer that does not fit fails in its own way
        cure = "give export an example of what it takes"
        raise ValueError(does_not_take(type(model).__name__, one.shape[1:], error, cure)) from error
    network = recordable(model, None if example is None else one)
    try:
        with uncollected(), quiet():
            record(network, one, path, input_name="pixels", outputs=names, batch=torch.export.Dim("batch"))
    except Exception as error:  # the exporter's refusals have no common base
        raise ValueError(f"{type(model).__name__} cannot be exported to ONNX: {reason(error)}") from error
    return path


def record(
    network: nn.Module,
    one: torch.Tensor,
    path: Path,
    *,
    input_name: str,
    outputs: Sequence[str],
    batch: torch.export.Dim,
    opset: int | None = None,
) -> None:
    """Write one ONNX file of a network as it is (see `recordable`), given an input of one example.

    The batch gets the symbol `batch`, or is fixed at 1 where the network cannot be recorded with a symbol. Raises what
    the exporter raises.
    """
    for size, shapes in ((2, ({0: batch},)), (1, None)):
        try:
            torch.onnx.export(
                network,
                (torch.cat([one] * size),),
                str(path),
                input_names=[input_name],
                output_names=list(outputs),
                dynamic_shapes=shapes,
                opset_version=opset,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
            return
        except Exception:  # the exporter's refusals have no common base
            if shapes is None:
                raise


def with_weights(
    source: str | Path, model: nn.Module, path: str | Path, *, example: torch.Tensor | None = None
) -> Path:
    """Write what `export` would, given the file of a network with the same layers: its graph, this model's weights.

    Layers may have other numbers of channels, as after pruning. Takes a tenth of a second where an export takes
    seconds. example: as for `export`, of a network with one output. Raises ValueError, and writes nothing, where the
    file with these weights would not compute what the model does.
    """
    model = recordable(model, None if example is None else torch.zeros_like(example[:1]))
    wanted = {name: t for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    file = onnx.load(source)
    # Constants that the exporter made have names without a dot.
    weights = {tensor.name: tensor for tensor in file.graph.initializer if "." in tensor.name}
    if weights.keys() != wanted.keys():
        name = min(weights.keys() ^ wanted.keys())
        raise ValueError(_other_architecture(source, f"only {'it' if name in weights else 'the network'} has {name}"))
    for name, tensor in wanted.items():
        weights[name].CopyFrom(onnx.numpy_helper.from_array(tensor.numpy(), name))
    _forget_widths(file.graph)
    # Where ONNX Runtime does not know a shape it fuses less: on a CPU with AVX-512, not the sum of a residual block.
    written = onnx.shape_inference.infer_shapes(file).SerializeToString()
    shape, dtype = ((2, *INPUT_SHAPE), np.uint8) if example is None else (example[:1].shape, example.numpy().dtype)
    pixels = (np.random.default_rng(0).random(tuple(shape)) * 255).astype(dtype)
    try:
        with torch.inference_mode():
            (answer,) = (value.numpy() for value in leaves(model(torch.from_numpy(pixels))).values())
        difference = np.abs(onnx_predict(written)(pixels) - answer).max()
    except Exception as error:  # ONNX Runtime's errors have no class of their own
        raise ValueError(_other_architecture(source, str(error))) from error
    if not difference < 1e-3 * max(1.0, np.abs(answer).max()):
        raise ValueError(_other_architecture(source, f"with the network's weights it answers {difference:.2g} apart"))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written)
    return path


def _other_architecture(source: str | Path, why: str) -> str:
    return f"{source} is of another architecture: {why}. Export the network itself (cvprod.optimize.fuse.export)."


def _forget_widths(graph: onnx.GraphProto) -> None:
    """Take out of a graph what says how many channels there are, except for the weights themselves.

    The exporter writes `Flatten` as a reshape to a fixed width, and notes every tensor's shape.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = onnx.numpy_helper.to_array(constants[node.input[1]])
            if len(shape) == 2 and shape[0] == -1:
                graph.initializer.remove(constants.pop(node.input[1]))
                node.CopyFrom(onnx.helper.make_node("Flatten", node.input[:1], node.output, name=node.name, axis=1))
    del graph.value_info[:]


def unfolded(source: str | Path, model: nn.Module, path: str | Path) -> Path:
    """Write `export`'s file with its BatchNorms as nodes of their own again: the graph as PyTorch runs the network.

    For seeing what a runtime's levels do. A convolution and its BatchNorm have to be neighbours of one nn.Sequential,
    as in the student. Raises ValueError where there are none in the file.
    """
    file, modules = onnx.load(source), dict(model.eval().named_modules())
    graph, weights = file.graph, {tensor.name: tensor for tensor in file.graph.initializer}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        conv = node.input[1].removesuffix(".weight") if node.op_type == "Conv" else ""
        parent, _, index = conv.rpartition(".")
        norm = modules.get(f"{parent}.{int(index) + 1}") if index.isdigit() else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        del node.input[2:]  # the bias was the BatchNorm's
        weights[node.input[1]].CopyFrom(_initializer(modules[conv].weight, node.input[1]))
        names = [f"{conv}.norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
        graph.initializer.extend(_initializer(getattr(norm, name.rpartition(".")[2]), name) for name in names)
        raw = f"{node.output[0]}.raw"
        nodes.append(onnx.helper.make_node("BatchNormalization", [raw, *names], list(node.output), epsilon=norm.eps))
        node.output[0] = raw
    if len(nodes) == len(graph.node):
        raise ValueError(f"{source} has no convolution whose BatchNorm stands beside it in the network.")
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(file)
    onnx.save(file, path)
    return Path(path)


def _initializer(tensor: torch.Tensor, name: str) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(tensor.detach().numpy(), name)


def session(path: str | Path | bytes, *, level: str = "all", threads: int = 1) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU, with `threads` threads inside an operator.

    level: "none", "basic" (constant folding, redundant nodes), "extended" (fusions), "all" (memory layout too).
    Raises ValueError for another level and FileNotFoundError for a missing file.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}.")
    if not isinstance(path, bytes) and not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there: export the network first (cvprod.optimize.fuse.export).")
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    options.log_severity_level = 3  # the layout warning about a saved graph does not concern a reader
    model = path if isinstance(path, bytes) else str(path)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_predict(path: str | Path | bytes, *, level: str = "all", threads: int = 1) -> Predict:
    """An ONNX file as a `predict` function: uint8 (N, 1, 96, 96) -> float32 logits (N, 7)."""
    runtime = session(path, level=level, threads=threads)
    pixels = runtime.get_inputs()[0]
    if pixels.type not in TYPES:
        raise ValueError(f"the graph takes {pixels.type}, which no tile comes in: {', '.join(TYPES)} can be fed.")
    dtype, name = TYPES[pixels.type], pixels.name

    def predict(images: np.ndarray) -> np.ndarray:
        return runtime.run(None, {name: as_input(images, dtype)})[0]

    return predict


def as_input(images: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Tiles in a graph's input type. Raises ValueError for floats where it takes bytes: all of 0..1 would become 0."""
    if not np.can_cast(images.dtype, dtype, "same_kind"):
        raise ValueError(f"the graph takes tiles as {np.dtype(dtype)}, 0 to 255, not {images.dtype}.")
    return images.astype(dtype, copy=False)


def operators(path: str | Path, *, level: str = "none") -> Counter[str]:
    """Which operators ONNX Runtime will run, and how many of each, after its optimisations at `level`."""
    if level == "none":
        return Counter(node.op_type for node in onnx.load(path).graph.node)
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = 3
    saved = Path(path).with_suffix(f".{level}.onnx")
    options.optimized_model_filepath = str(saved)
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in onnx.load(saved).graph.node)
    saved.unlink()
    return found


def torch_compile(model: nn.Module) -> tuple[Predict, float]:
    """The network through torch.compile for one tile at a time, and the seconds that its first call took.

    The first call traces, generates C++ and compiles it; a production start-up pays that, or caches it.
    """
    compiled = torch.compile(model.eval(), dynamic=False)

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        tiles = torch.from_numpy(np.ascontiguousarray(images)).split(1)
        return torch.cat([compiled(tile) for tile in tiles]).numpy()

    begun = time.perf_counter()
    predict(np.zeros((1, 1, 96, 96), np.uint8))
    return predict, time.perf_counter() - begun
