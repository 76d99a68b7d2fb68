"""A network of your own: the path of an ONNX file, or `module:factory` for PyTorch.

What the book's commands need to know of a network (the shape and type of one input, how many outputs) is read from
the file, or found by asking the module, so that none of them needs to be told about steel.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cvprod.quiet import quiet
from cvprod.surface import ImageError, read_image

if TYPE_CHECKING:
    import pandas as pd

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
    if text.endswith(".onnx") or (Path(text).is_file() and not text.endswith(".py")):
        return _of_file(Path(text), shape)
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
    except Exception as error:  # somebody else's module fails in its own way
        raise NetworkError(f"{module} does not import: {first_line(error)}") from error
    if not callable(make := getattr(loaded, factory, None)):
        raise NetworkError(f"{module} has no function called {factory}")
    try:
        with quiet():
            return make()
    except Exception as error:
        raise NetworkError(
            f"{module}:{factory}() failed: {first_line(error)}. It must work without arguments: wrap it if it does not"
        ) from error


def _of_module(name: str, module: nn.Module, example: object, shape: tuple[int, ...] | None) -> Network:
    module = module.eval()
    kinds = {p.dtype for p in module.parameters() if p.is_floating_point()}
    if kinds & {torch.bfloat16}:
        raise NetworkError(f"{name} has weights in bfloat16, which NumPy does not know: return it with .float()")
    if example is not None:
        if not isinstance(example, torch.Tensor | np.ndarray) or example.ndim < 2:
            raise NetworkError(f"{name}: the example beside the module must be one tensor with its batch first")
        tried, dtype = [tuple(example.shape[1:])], torch.as_tensor(example).dtype
    else:
        tried = [shape] if shape else _guesses(module)
        dtype = next(iter(kinds), torch.float32)
    for chosen in tried:
        try:
            found = leaves(call(module, torch.zeros(1, *chosen, dtype=dtype)))
            break
        except Exception as error:  # a layer that does not fit fails in its own way
            failure = error
    else:
        sizes = " or ".join(_x(t) for t in tried[:3]) + (" ..." if len(tried) > 3 else "")
        raise NetworkError(
            f"{name} does not take examples of {sizes} ({first_line(failure)}): say what it takes, like 3x224x224"
        ) from failure
    if not found:
        raise NetworkError(f"{name} gives no tensor")
    guessed = example is None and shape is None
    kind, batch = np.dtype(str(dtype).split(".")[1]), None if _takes_two(module, found, chosen, dtype) else 1
    return Network(name, module, None, tuple(chosen), kind, batch, tuple(found), guessed)


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
            found[pytree.keystr(path).strip("[]'.").replace("']['", ".").replace("]['", ".") or "output"] = value
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
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's errors have no common base
        raise NetworkError(f"{path} is no ONNX file: {_what_it_is(path)}") from error
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if not inputs or not graph.node:
        raise NetworkError(f"{path} is no ONNX file: {_what_it_is(path)}")
    if len(inputs) > 1:
        names = ", ".join(value.name for value in inputs)
        raise NetworkError(f"{path} takes {len(inputs)} inputs ({names}); these commands feed one picture to one input")
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


def _what_it_is(path: Path) -> str:
    start = path.read_bytes()[:200]
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer (git lfs pull fetches the file itself)"
    if start.lstrip()[:1] == b"<":
        return "it is a web page"
    return "it is damaged, cut short or of another format"


def first_line(error: BaseException) -> str:
    """The first line of an error, or the name of its class, cut to what a person reads."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
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
    folders = {p.name: p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith((".", "_"))}
    names = tuple(classes) or tuple(folders)
    if unknown := sorted(set(folders) - set(names)):
        raise NetworkError(f"{path} has folders that are no class: {', '.join(unknown)}; classes: {', '.join(names)}")
    found = [(file, names.index(name)) for name, folder in folders.items() for file in sorted(folder.iterdir())]
    found = [(file, label) for file, label in found if file.is_file() and not file.name.startswith(".")]
    order = np.random.default_rng(0).permutation(len(found))[:limit]
    if not len(order):
        raise NetworkError(f"{path} holds no pictures: it needs a folder for each class, with pictures in it")
    try:
        images = np.stack([_picture(found[i][0], network, pixels) for i in order])
    except ImageError as error:
        raise NetworkError(str(error)) from error
    return Examples(images, np.array([found[i][1] for i in order], np.int64), names)


def _npz(path: Path, network: Network, limit: int | None) -> Examples:
    try:
        with np.load(path) as held:
            images, labels = held["images"][:limit], held["labels"][:limit] if "labels" in held else None
    except (KeyError, ValueError, OSError) as error:
        raise NetworkError(f"{path} is no .npz file with `images` ({first_line(error)})") from error
    if labels is not None and (labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer)):
        raise NetworkError(f"{path}: `labels` must be whole numbers, one for each of the {len(images)} images")
    return Examples(network.check(images), None if labels is None else labels.astype(np.int64))


def _picture(path: Path, network: Network, pixels: tuple[float, float] | None) -> np.ndarray:
    import cv2

    last = len(network.input) == 3 and network.input[2] in (1, 3) and network.input[0] not in (1, 3)
    channels, *size = (network.input[2], *network.input[:2]) if last else network.input
    if channels not in (1, 3) or len(size) != 2:
        raise NetworkError(
            f"{network.name} takes {_x(network.input)}, which is no grey or RGB picture: use an .npz file"
        )
    picture = read_image(path)  # refuses what is damaged
    if channels == 3:
        from PIL import Image, ImageOps

        with Image.open(path) as image:
            picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
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
    spread = [max(float(np.ptp(np.concatenate([call[i].ravel() for call in truth]))), 1e-12)
              if any(call[i].size for call in truth) else 1.0 for i in range(len(truth[0]))]  # fmt: skip
    alike, worst = 0, 0.0
    for mine, theirs in zip(given, truth, strict=True):
        if [value.shape for value in mine] != [value.shape for value in theirs]:
            continue
        alike += 1
        for value, wanted, width in zip(mine, theirs, spread, strict=True):
            if value.size:
                difference = np.abs(value.astype(np.float64) - wanted.astype(np.float64)).max()
                worst = max(worst, float(difference) / width)
    return worst if alike else float("nan"), alike / len(truth)


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
    return "\n".join([table.to_string(float_format="{:.4g}".format), *reasons])


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
