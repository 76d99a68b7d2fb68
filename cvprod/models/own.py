"""A network of your own: the path of an ONNX file, or `module:factory` for PyTorch.

What the book's commands need to know of a network (the shape and type of one input, how many outputs) is read from
the file, or found by asking the module, so that none of them needs to be told about steel.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import math
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from cvprod.quiet import quiet
from cvprod.surface import ImageError, is_litter, read_colour, read_image

if TYPE_CHECKING:
    import pandas as pd
    from onnx import ModelProto

#: Sides that are tried for a module that does not say what it takes, in this order.
SIDES = (224, 96, 32, 64, 128, 256, 299, 320, 384, 512, 640, 28)
#: Types of input that pictures come in.
TYPES = {"float": np.float32, "float16": np.float16, "double": np.float64, "uint8": np.uint8, "int8": np.int8}


class NetworkError(ValueError):
    """A network that cannot be opened, or takes what no picture is; the message says what to do."""


@dataclass(frozen=True)
class Network:
    """A network, what it takes and what it gives.

    Exactly one of `module` and `file` is there. input: shape of one example, without the batch. batch: how many
    examples one call takes; None for any. outputs: their names, in order. guessed: nobody said what `input` is.
    """

    name: str
    module: nn.Module | None = field(repr=False)
    file: Path | None
    input: tuple[int, ...]
    dtype: np.dtype
    batch: int | None
    outputs: tuple[str, ...]
    guessed: bool = False

    @property
    def example(self) -> torch.Tensor:
        """One input of zeros, (1, *input), in the network's type."""
        return torch.from_numpy(np.zeros((1, *self.input), self.dtype))

    def examples(self, n: int, *, pixels: tuple[float, float] | None = None, seed: int = 0) -> np.ndarray:
        """Random inputs (n, *input): smooth blotches and noise between the two values of `pixels`.

        Good for time and parity, worthless for accuracy. Default: 0 to 1 for floats, the whole range of integers.
        """
        whole = np.issubdtype(self.dtype, np.integer)
        low, high = pixels or ((np.iinfo(self.dtype).min, np.iinfo(self.dtype).max) if whole else (0.0, 1.0))
        _check_fits(n, self.input)
        rng = np.random.default_rng(seed)
        coarse = rng.random((n, *(max(1, side // 16) if side > 16 else side for side in self.input)))
        for axis, side in enumerate(self.input, 1):
            if coarse.shape[axis] != side:
                coarse = coarse.take(np.arange(side) * coarse.shape[axis] // side, axis)
        values = low + (high - low) * np.clip(0.8 * coarse + 0.2 * rng.random(coarse.shape), 0, 1)
        return (np.rint(values) if whole else values).astype(self.dtype)

    def check(self, images: np.ndarray) -> np.ndarray:
        """The same examples, in the network's type, or NetworkError where they are of another shape or no pixels."""
        if not isinstance(images, np.ndarray) or images.shape[1:] != self.input or not len(images):
            given = getattr(images, "shape", type(images).__name__)
            raise NetworkError(f"{self.name} takes examples of shape (N, {_x(self.input, ', ')}), not {given}")
        if not np.can_cast(images.dtype, self.dtype, "same_kind") and images.dtype != np.uint8:
            raise NetworkError(f"{self.name} takes {self.dtype.name}, and {images.dtype.name} would be cut to that")
        return np.ascontiguousarray(images.astype(self.dtype, copy=False))


@dataclass(frozen=True)
class Examples:
    """Inputs (N, *input) and, where they are known, labels int64 (N,) and the names of the classes."""

    images: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def open_network(source: str | Path | nn.Module, *, input: Sequence[int] | str | None = None) -> Network:
    """Somebody's network, ready to be converted and measured.

    Args:
        source: the path of an .onnx file; "module:factory", where factory is called without arguments and returns an
            nn.Module, or (module, example input with its batch); the module may also be the path of a .py file; or an
            nn.Module itself.
        input: shape of one example, such as (3, 224, 224) or "3x224x224"; needed where the file leaves it open. A
            module that does not say is tried with the usual sides (`Network.guessed`).

    Raises NetworkError.
    """
    shape = parse_shape(input) if isinstance(input, str) else None if input is None else tuple(int(i) for i in input)
    if isinstance(source, nn.Module):
        return _of_module(type(source).__name__, source, None, shape)
    text = str(source)
    if (text.lower().endswith(".onnx") and not Path(text).is_dir()) or (
        Path(text).is_file() and not text.endswith(".py")
    ):
        return _of_file(Path(text), shape)
    if text and Path(text).is_dir():
        raise NetworkError(f"{text} is a folder: give the path of an .onnx file, or module:factory for PyTorch")
    module, mark, factory = text.rpartition(":")
    if not mark or not module or not factory.isidentifier():
        raise NetworkError(
            f"{text!r} is neither the path of an .onnx file nor module:factory, such as torchvision.models:resnet50"
        )
    made = _made(module, factory)
    made, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(made, nn.Module):
        raise NetworkError(f"{text} gives {type(made).__name__}, not a torch.nn.Module")
    return _of_module(factory, made, example, shape)


def parse_shape(text: str) -> tuple[int, ...]:
    """ "3x224x224" as (3, 224, 224). Raises NetworkError."""
    parts = text.lower().replace(",", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise NetworkError(f"{text!r} is no shape of an example: write it like 3x224x224, without the batch")
    return tuple(map(int, parts))


def _x(shape: Sequence, mark: str = "x") -> str:
    return mark.join(map(str, shape))


def _check_fits(n: int, shape: Sequence[int]) -> None:
    """Raise NetworkError where `n` examples would not fit into memory: a system ends what tries, without a word."""
    import psutil

    wanted, there = n * math.prod(shape) * 8, psutil.virtual_memory().total
    if wanted > there / 4:
        raise NetworkError(
            f"{n} examples of {_x(shape)} take {wanted / 1e9:.0f} GB while they are made, and the machine has "
            f"{there / 1e9:.0f}: compare fewer, or smaller ones (--examples, --calibration, --input)"
        )


# --- PyTorch -----------------------------------------------------------------------------------------------


def _made(module: str, factory: str) -> object:
    try:
        if module.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module).stem, module)
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = loaded  # so that its classes can be pickled
            spec.loader.exec_module(loaded)
        else:
            loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # somebody else's module fails in its own way; a script even exits
        raise NetworkError(f"{module} does not import: {first_line(error)}") from error
    if not callable(make := getattr(loaded, factory, None)):
        raise NetworkError(f"{module} has no function called {factory}")
    try:
        with quiet():
            return make()
    except (Exception, SystemExit) as error:
        raise NetworkError(
            f"{module}:{factory}() failed: {first_line(error)}. It must work without arguments: wrap it if it does not"
        ) from error


def _of_module(name: str, module: nn.Module, example: object, shape: tuple[int, ...] | None) -> Network:
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkError(f"{name} is TorchScript, which exporters no longer read: give the module it was made from")
    try:
        module = _plain(module.eval())
    except NotImplementedError:
        raise NetworkError(
            f"{name} was exported already and cannot be again: give the module it was made from"
        ) from None
    homes = {str(tensor.device) for tensor in (*module.parameters(), *module.buffers())} - {"cpu"}
    if homes:
        cure = "load its weights first" if homes == {"meta"} else "return it with .cpu()"
        raise NetworkError(f"{name} has weights on {', '.join(sorted(homes))}, and this is measured on the CPU: {cure}")
    kinds = {p.dtype for p in module.parameters() if p.is_floating_point()}
    if kinds & {torch.bfloat16}:
        raise NetworkError(f"{name} has weights in bfloat16, which NumPy does not know: return it with .float()")
    if example is not None:
        if not isinstance(example, torch.Tensor | np.ndarray) or example.ndim < 2:
            raise NetworkError(f"{name}: the example beside the module must be one tensor with its batch first")
        tried, dtype = [tuple(example.shape[1:])], torch.as_tensor(example).dtype
        if (said := str(dtype).split(".")[1]) not in {np.dtype(kind).name for kind in TYPES.values()}:
            raise NetworkError(f"{name} has an example in {said}, which no picture comes in: give it in float32")
    else:
        tried = [shape] if shape else _guesses(module)
        dtype = next(iter(kinds), torch.float32)
    for chosen in tried:
        try:
            given = call(module, torch.zeros(1, *chosen, dtype=dtype))
            found = leaves(given)
            break
        except Exception as error:  # a layer that does not fit fails in its own way
            failure = error
            if isinstance(error, TypeError) and "argument" in str(error):
                raise NetworkError(
                    f"{name} takes more than one picture ({first_line(error)}): wrap it in a module that does not"
                ) from error
    else:
        sizes = " or ".join(_x(t) for t in tried[:3]) + (" ..." if len(tried) > 3 else "")
        raise NetworkError(
            f"{name} does not take examples of {sizes} ({first_line(failure)}): say what it takes, like 3x224x224"
        ) from failure
    if not found:
        raise NetworkError(
            f"{name} gives {type(given).__name__}, in which no tensor is found: return one, or a list or dict of them"
        )
    names = tuple(found)
    if _has_more(given):
        module = _OnlyTensors(module)
        found = leaves(call(module, torch.zeros(1, *chosen, dtype=dtype)))
    guessed = example is None and shape is None
    kind, batch = np.dtype(str(dtype).split(".")[1]), None if _takes_two(module, found, chosen, dtype) else 1
    return Network(name, module, None, tuple(chosen), kind, batch, names, guessed)


def _plain(module: nn.Module) -> nn.Module:
    """The module, or, where it computes weights from others at each call (weight norm, spectral norm), a copy that has
    computed them: no exporter and no pruner knows such weights."""
    if not any(parametrize.is_parametrized(part) for part in module.modules()):
        return module
    module = copy.deepcopy(module)
    for part in [part for part in module.modules() if parametrize.is_parametrized(part)]:
        for weight in list(part.parametrizations):
            parametrize.remove_parametrizations(part, weight)
    return module


class _OnlyTensors(nn.Module):
    """A module that also gives numbers or None, which exporters bear as little as pruning does, without those."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        found = tuple(leaves(self.inner(images)).values())
        return found[0] if len(found) == 1 else found


def _has_more(given: object) -> bool:
    from torch.utils import _pytree as pytree

    return not all(isinstance(value, torch.Tensor) for value in pytree.tree_leaves(given))


def _takes_two(module: nn.Module, one: dict[str, torch.Tensor], shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Whether two examples give the outputs that one gives, with a row for each."""
    try:
        two = leaves(call(module, torch.zeros(2, *shape, dtype=dtype)))
    except Exception:  # as above
        return False
    rows = all(v.ndim and two[k].shape == (2, *v.shape[1:]) for k, v in one.items() if k in two)
    return rows and two.keys() == one.keys()


def _guesses(module: nn.Module) -> list[tuple[int, ...]]:
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    sides = [side for side in (getattr(module, "image_size", None),) if isinstance(side, int)] + [*SIDES]
    # A network that rearranges pixels into channels first has a wider first convolution than its input.
    return [(c, side, side) for c in dict.fromkeys((channels, 3, 1)) for side in dict.fromkeys(sides)]


def call(module: nn.Module, images: torch.Tensor) -> object:
    """What the module gives, without gradients."""
    with torch.no_grad(), quiet():  # no inference mode: an exported module bears none
        return module(images)


def leaves(given: object) -> dict[str, torch.Tensor]:
    """All tensors of an answer by name, in the order in which torch.export has them: lists and dicts are opened."""
    if isinstance(given, torch.Tensor):
        return {"output": given}
    from torch.utils import _pytree as pytree

    found = {}
    for path, value in pytree.tree_flatten_with_path(given)[0]:
        if isinstance(value, torch.Tensor):
            steps = [next(str(getattr(step, part)) for part in ("key", "idx", "name") if hasattr(step, part))
                     for step in path]  # fmt: skip
            found[".".join(steps) or "output"] = value
    if all(name.startswith("0.") for name in found):  # a list of one picture's answers, as detectors give
        return {name[2:]: value for name, value in found.items()}
    return found


def output_names(model: nn.Module, one: torch.Tensor) -> list[str]:
    """Names for what the network gives: "logits" for one tensor, those of its answer's parts for several."""
    found = list(leaves(call(model, one)))
    return ["logits"] if len(found) == 1 else [name if name.isidentifier() else f"output_{name}" for name in found]


def does_not_take(name: str, shape: Sequence[int], error: BaseException, cure: str) -> str:
    """The sentence for a network that an example of `shape` (without the batch) does not fit."""
    return f"{name} does not take examples of {_x(shape)} ({first_line(error)}): {cure}"


# --- ONNX --------------------------------------------------------------------------------------------------


def _of_file(path: Path, shape: tuple[int, ...] | None) -> Network:
    import onnx

    if not path.is_file():
        raise NetworkError(f"{path} is not there: give the path of an .onnx file, or module:factory for PyTorch")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common base
        raise NetworkError(f"{path} is no ONNX file: {_what_it_is(path)}") from error
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if model.opset_import and (not graph.node or not inputs):
        raise NetworkError(f"{path} holds a graph with {'no operator' if inputs else 'no input'}: export it again")
    if not inputs or not graph.node:
        raise NetworkError(f"{path} is no ONNX file: {_what_it_is(path)}")
    if path.suffix.lower() != ".onnx":
        raise NetworkError(
            f"{path} is an ONNX file under another name, and runtimes go by it: call it {path.name}.onnx"
        )
    if lost := [file.name for file in external_files(path, model) if not file.is_file()]:
        raise NetworkError(f"{path} has its weights in {', '.join(lost)}, which is not beside it: copy them together")
    if len(inputs) > 1:
        names = ", ".join(value.name for value in inputs)
        raise NetworkError(f"{path} takes {len(inputs)} inputs ({names}); these commands feed one picture to one input")
    if other := [value.name for value in (*inputs, *graph.output) if not _is_numbers(value)]:
        raise NetworkError(f"{path}: {', '.join(other)} is no tensor of numbers: export it with tensors at its ends")
    kind = inputs[0].type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if dtype not in TYPES.values():
        raise NetworkError(f"{path} takes {dtype}, which no picture comes in: float32, float16 and uint8 can be fed")
    dims = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim]
    if len(dims) < 2:
        raise NetworkError(f"{path}: its input {inputs[0].name} has no batch and no shape; export it with both")
    given = tuple(dims[1:])
    if shape is None and None in given:
        raise NetworkError(
            f"{path} leaves its input open ({_x(d or '?' for d in given)}): say which shape to use, like 3x224x224"
        )
    chosen = shape or given
    if len(chosen) != len(given) or any(g not in (None, c) for g, c in zip(given, chosen, strict=True)):
        raise NetworkError(f"{path} takes examples of {_x(d or '?' for d in given)}, not {_x(chosen)}")
    outputs = tuple(value.name for value in graph.output)
    return Network(path.stem, None, path, chosen, np.dtype(dtype), dims[0], outputs)


def _is_numbers(value) -> bool:
    """Whether one end of a graph is a tensor, and not of strings; sequences and maps are none."""
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type not in (0, 8)  # undefined, string


def external_files(path: Path, model: ModelProto) -> list[Path]:
    """The files in which an .onnx file keeps weights beside itself, in order of name; `model` is what it holds."""
    from onnx.external_data_helper import uses_external_data

    tensors = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    names = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    return [path.parent / name for name in sorted(names)]


def onnx_bytes(path: str | Path, model: ModelProto | None = None) -> int:
    """Bytes of an .onnx file and of the weights that it keeps beside itself; `model` where it has been read."""
    import onnx

    model = model or onnx.load(str(path), load_external_data=False)
    return sum(file.stat().st_size for file in (Path(path), *external_files(Path(path), model)))


def _what_it_is(path: Path) -> str:
    start = path.read_bytes()[:200]
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer (git lfs pull fetches the file itself)"
    if start.lstrip()[:1] == b"<":
        return "it is a web page"
    return "it is damaged, cut short or of another format"


#: Lines and parts in which native libraries say where in their source they are, not what is wrong.
_WHERE = re.compile(r"Exception from |Check '.*' failed at |FrontEnd API failed|Model wasn't fully|Summary:|While ")
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed: ?)?(/\S+:\d+ .*?\) (?=[A-Z]))?")


def reason(error: BaseException) -> str:
    """The first line of what an error goes back to: exporters wrap a plain sentence into a report on themselves."""
    while error.__cause__ is not None and str(error.__cause__).strip():
        error = error.__cause__
    return first_line(error)


#: What to do where ONNX Runtime says the left.
_CURES = {
    "is not a registered function/op": "no library of custom operators is loaded here, so export it in ONNX's own",
    "official released onnx opset": "export it at a lower opset, such as 20",
    "Unsupported model IR version": "export it at a lower opset, such as 20",
    "Could not find an implementation": "export it in float32",
    "load external data into raw data": "save it with size_threshold=1024, so that small tensors stay in the file",
}


def does_not_run(network: Network, label: str, why: str) -> NetworkError:
    """The error for a network that not even its reference runs, with what to do where that is known."""
    cure = next((f"; {cure}" for words, cure in _CURES.items() if words in why), "")
    return NetworkError(f"{network.name} does not run in {label}: {why}{cure}")


def first_line(error: BaseException) -> str:
    """The first line of an error, or the name of its class, cut to what a person reads."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    said = [line.removeprefix("-- ") for line in lines if not _WHERE.match(line)] or lines or [type(error).__name__]
    text = _PREFIX.sub("", said[0])
    if text.endswith(":") and len(said) > 1:
        text = f"{text} {said[1]}"
    if not re.search(r"[a-z]{2}", text):  # a key that was not found, say
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= 200 else text[:197] + "..."


# --- examples ----------------------------------------------------------------------------------------------


def load_examples(
    source: str | Path,
    network: Network,
    *,
    pixels: tuple[float, float] | None = None,
    classes: Sequence[str] = (),
    limit: int | None = None,
) -> Examples:
    """Real inputs for a network: an .npz file, or a folder of class folders.

    An .npz holds `images` (N, *input) and, where there are labels, `labels` (N,). A folder holds one folder for each
    class, whatever the classes are called; pictures are read in grey or in colour as the network has one channel or
    three, and resized by area averaging. Labels count in the order of `classes`, or of the folders' names.
    pixels: what black and white are to the network (default 0 and 1 for floats, 0 and 255 for integers).

    Raises NetworkError.
    """  # fmt: skip
    path = Path(source)
    if path.suffix == ".npz" and path.is_file():
        return _npz(path, network, limit)
    if not path.is_dir():
        raise NetworkError(f"{path} is neither a folder of class folders nor an .npz file with `images`")
    try:
        folders = {_name(p.name): p for p in sorted(path.iterdir())
                   if p.is_dir() and not is_litter(p) and not p.name.startswith("_")}  # fmt: skip
        inside = {name: sorted(p for p in folder.iterdir() if p.is_file() and not is_litter(p))
                  for name, folder in folders.items()}  # fmt: skip
    except OSError as error:
        raise NetworkError(f"{error.filename}: {error.strerror}; the folders of --data must be readable") from error
    names = tuple(map(_name, classes)) or tuple(folders)
    if unknown := sorted(set(folders) - set(names)):
        raise NetworkError(f"{path} has folders that are no class: {', '.join(unknown)}; classes: {', '.join(names)}")
    found = [(file, names.index(name)) for name, files in inside.items() for file in files]
    order = np.random.default_rng(0).permutation(len(found))[:limit]
    if not len(order):
        raise NetworkError(f"{path} holds no pictures: it needs a folder for each class, with pictures in it")
    try:
        images = np.stack([_picture(found[i][0], network, pixels) for i in order])
    except ImageError as error:
        raise NetworkError(str(error)) from error
    return Examples(images, np.array([found[i][1] for i in order], np.int64), names)


def _name(text: str) -> str:
    """A class name as it is compared: a Mac writes accents of folder names as letters of their own."""
    return unicodedata.normalize("NFC", text)


def _npz(path: Path, network: Network, limit: int | None) -> Examples:
    try:
        with np.load(path) as held:
            images, labels = held["images"][:limit], held["labels"][:limit] if "labels" in held else None
    except KeyError as error:
        raise NetworkError(f"{path} holds no array called `images`") from error
    except Exception as error:  # of NumPy, zipfile or zlib
        raise NetworkError(f"{path} is damaged, or no .npz file with an array `images` (N, ...)") from error
    if labels is not None and (labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer)):
        raise NetworkError(f"{path}: `labels` must be whole numbers, one for each of the {len(images)} images")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise NetworkError(f"{path} holds NaN or infinity among its `images`: look at the step that wrote it")
    return Examples(network.check(images), None if labels is None else labels.astype(np.int64))


def _picture(path: Path, network: Network, pixels: tuple[float, float] | None) -> np.ndarray:
    import cv2

    last = len(network.input) == 3 and network.input[2] in (1, 3) and network.input[0] not in (1, 3)
    channels, *size = (network.input[2], *network.input[:2]) if last else network.input
    if channels not in (1, 3) or len(size) != 2:
        raise NetworkError(
            f"{network.name} takes {_x(network.input)}, which is no grey or RGB picture: use an .npz file"
        )
    picture = read_colour(path) if channels == 3 else read_image(path)
    picture = cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA).reshape(*size, channels)
    picture = picture if last else picture.transpose(2, 0, 1)
    if np.issubdtype(network.dtype, np.integer):
        low = np.iinfo(network.dtype).min
        return (picture.astype(np.int16) + low).astype(network.dtype)
    low, high = pixels or (0.0, 1.0)
    return (low + (high - low) * picture.astype(np.float32) / 255).astype(network.dtype)


# --- answers side by side ----------------------------------------------------------------------------------

#: Outputs of several calls: for each call a list with one array an output.
Calls = Sequence[Sequence[np.ndarray]]


def classifies(calls: Calls) -> bool:
    """Whether the network gives one row of at least two numbers for each example, and nothing else."""
    return len(calls[0]) == 1 and all(call[0].ndim == 2 and call[0].shape[1] > 1 for call in calls)


def beside(given: Calls, truth: Calls) -> tuple[float, float]:
    """(the largest difference as a share of the spread of its output in `truth`, the share of calls whose outputs all
    have the same shapes). Other calls have no difference; nan where there is no call but those."""
    spread = [_spread([call[i] for call in truth]) for i in range(len(truth[0]))]
    alike, worst = 0, 0.0
    for mine, theirs in zip(given, truth, strict=True):
        if [value.shape for value in mine] != [value.shape for value in theirs]:
            continue
        alike += 1
        for value, wanted, width in zip(mine, theirs, spread, strict=True):
            if value.size:
                worst = max(worst, _apart(value.astype(np.float64), wanted.astype(np.float64)) / width)
    return worst if alike else float("nan"), alike / len(truth)


def _spread(values: Sequence[np.ndarray]) -> float:
    """Largest less smallest finite value; of what hardly varies, the largest, so that rounding does not look large."""
    flat = np.concatenate([np.asarray(value, np.float64).ravel() for value in values])
    flat = flat[np.isfinite(flat)]
    width, largest = (float(np.ptp(flat)), float(np.abs(flat).max())) if flat.size else (0.0, 0.0)
    return width if width > 1e-6 * largest else largest or 1.0


def _apart(value: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference; infinite where one is NaN or infinite and the other something else."""
    value, wanted = np.atleast_1d(value, wanted)
    with np.errstate(invalid="ignore"):
        difference = np.abs(value - wanted)
    difference[(value == wanted) | (np.isnan(value) & np.isnan(wanted))] = 0
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max())


def same_class(logits: np.ndarray, wanted: np.ndarray) -> float:
    """Share of rows (N, classes) with the class `wanted`: other logits, or class numbers (N,). NaN is of no class."""
    right = logits.argmax(1) == (wanted.argmax(1) if wanted.ndim == 2 else wanted)
    if wanted.ndim == 2:
        right &= np.isfinite(wanted).all(1)
    return float((right & np.isfinite(logits).all(1)).mean())


def labels_of(examples: Examples, outputs: int) -> np.ndarray | None:
    """Labels that a classifier of so many outputs can be judged by; None where there are none, or of other classes."""
    if examples.labels is None:
        return None
    fit = len(examples.classes) in (0, outputs) and examples.labels.min() >= 0 and examples.labels.max() < outputs
    return examples.labels if fit else None


def judged(logits: np.ndarray, wanted: np.ndarray, examples: Examples) -> dict[str, float]:
    """A classifier's columns of a table, in percent: how often it has the reference's class, and the label's."""
    row = {"same class, %": same_class(logits, wanted) * 100}
    if (labels := labels_of(examples, wanted.shape[1])) is not None:
        row["accuracy, %"] = same_class(logits, labels) * 100
    return row


def remarks(
    label: str, truth: Calls, once: Sequence[np.ndarray], again: Sequence[np.ndarray], examples: Examples
) -> list[str]:
    """What a reader must know before comparing: the reference gives NaN, or never the same twice; no accuracy is there.

    once, again: its outputs for one example, asked twice.
    """
    found = []
    if not all(np.isfinite(value).all() for call in truth for value in call):
        found.append(f"{label} gives NaN or infinity, which is of no class: look at the weights, and at --pixels")
    difference, alike = beside([again], [once])
    if alike < 1 or difference > 1e-3:
        found.append(f"{label} answers the same input differently each time (dropout? noise?): so do all differences")
    if examples.labels is not None and (not classifies(truth) or labels_of(examples, truth[0][0].shape[1]) is None):
        outputs = truth[0][0].shape[1] if classifies(truth) else "no"
        found.append(
            f"no accuracy: the labels do not fit the network, which tells {outputs} classes apart. A contract whose "
            "classes name its outputs in their order says which is which (--contract)"
        )
    return found


# --- commands ----------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser, *, repeats: int = 40) -> None:
    """What every command on somebody's network takes."""
    parser.add_argument("model", help="path of an .onnx file, or module:factory for PyTorch")
    parser.add_argument("--input", metavar="CxHxW", help="shape of one example, where the model leaves it open")
    parser.add_argument("--data", metavar="PATH", help="folder of class folders, or .npz with images (and labels)")
    parser.add_argument("--pixels", type=float, nargs=2, metavar=("BLACK", "WHITE"), help="default 0 1, bytes 0 255")
    parser.add_argument("--contract", metavar="FILE", help="whose classes say the order of labels")
    parser.add_argument("--examples", type=int, default=32, help="how many are compared (default %(default)s)")
    parser.add_argument("--calibration", type=int, default=32, help="how many set INT8's ranges (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=repeats, help="timed calls of each (default %(default)s)")


def opened(options: argparse.Namespace) -> tuple[Network, Examples, np.ndarray]:
    """The network of a command line, examples to compare and time, and inputs for calibration: never the same ones.

    Raises NetworkError.
    """
    if min(options.examples, options.calibration, options.repeats) < 1:
        raise NetworkError("--examples, --calibration and --repeats must be at least 1")
    network = open_network(options.model, input=options.input)
    pixels = tuple(options.pixels) if options.pixels else None
    if pixels and not (np.isfinite(pixels).all() and pixels[0] != pixels[1]):
        raise NetworkError("--pixels takes two different numbers: what black is to the network, and what white is")
    if options.contract and options.data is None:
        raise NetworkError("--contract says in which order the classes of --data count: give that, too")
    total = options.examples + options.calibration
    if options.data is None:
        images = network.examples(total, pixels=pixels)
        return network, Examples(images[: options.examples]), images[options.examples :]
    classes = ()
    if options.contract:
        from cvprod.contract import ContractError, load_contract

        try:
            classes = load_contract(options.contract).class_names
        except ContractError as error:
            raise NetworkError(str(error)) from error
    held = load_examples(options.data, network, pixels=pixels, classes=classes, limit=total)
    if len(held) < 2:
        raise NetworkError(f"{options.data} holds one example; at least two are needed, one of them for calibration")
    kept = min(options.calibration, len(held) // 2)
    labels = None if held.labels is None else held.labels[kept:]
    return network, Examples(held.images[kept:], labels, held.classes), held.images[:kept]


def report(table: pd.DataFrame, left_out: Mapping[str, str]) -> str:
    """What such a command prints at its end: the table, and the reason for everything that is not in it."""
    reasons = [f"left out: {label}: {why}" for label, why in left_out.items()]
    return "\n".join([table.to_string(float_format="{:.4g}".format), *table.attrs.get("remarks", ()), *reasons])


def describe(network: Network, examples: Examples) -> str:
    """One line on what is measured, for the head of a table."""
    kind = "PyTorch" if network.file is None else "ONNX"
    batch = "any batch" if network.batch is None else f"batch {network.batch}"
    batch += f" (a call, and its time, is of {network.batch})" if (network.batch or 1) > 1 else ""
    outputs = f"{len(network.outputs)} outputs ({', '.join(network.outputs)})" if len(network.outputs) > 1 else ""
    parts = [f"{network.name}: {kind}", f"{_x(network.input)} {network.dtype.name}", batch, outputs]
    text = ", ".join(part for part in parts if part)
    if network.guessed:
        text += "; nobody said what it takes, so this is a guess that runs (--input says otherwise)"
    return f"{text}. {len(examples)} examples{'' if examples.labels is None else ' with labels'}."
