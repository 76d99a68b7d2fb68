"""Shipped weights: one safetensors file and one model card a network, held together by a checksum.

float16 on disk, float32 in memory: half the size of the repository for a rounding that the card's metrics already
contain (they are measured on the rounded weights). safetensors rather than pickle, because opening a model file must
never run code.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors
from torch import Tensor, nn

from cvprod.files import write_atomic
from cvprod.surface import CLASSES

from .networks import INPUT_SHAPE, build

WEIGHTS = Path(__file__).parent / "weights"
SIZE_LIMIT = 40 * 10**6  # bytes of all shipped weights together: a clone must stay small

# What the caller of save_weights has to know and write down; the rest of the card is filled in here.
CARD_FIELDS = ("description", "intended_use", "limits", "data", "training", "metrics")


class WeightsError(ValueError):
    """A weights file or its card is missing, damaged or of another network; the message says how to rebuild it."""


def weights_path(name: str, folder: Path = WEIGHTS) -> Path:
    """Where the network's weights file lies (whether it exists or not)."""
    return Path(folder) / f"{name}.safetensors"


def card_path(name: str, folder: Path = WEIGHTS) -> Path:
    """Where the network's model card lies (whether it exists or not)."""
    return Path(folder) / f"{name}.json"


def shipped(folder: Path = WEIGHTS) -> list[str]:
    """Names of the networks with a weights file or a card in the folder, sorted."""
    found = [path.stem for pattern in ("*.safetensors", "*.json") for path in Path(folder).glob(pattern)]
    return sorted(set(found))


def rebuild_command(name: str, folder: Path = WEIGHTS) -> str:
    """The command that trains the network again: the card's own where it can be read, else the general one."""
    general = f"python -m cvprod.models train {name}"
    try:
        own = json.loads(card_path(name, folder).read_text("utf-8"))["training"]["command"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return general
    return own if isinstance(own, str) else general


def half_state(model: nn.Module) -> dict[str, Tensor]:
    """The state as it is shipped: floating-point tensors as float16, on the CPU, contiguous.

    Raises ValueError for a value that float16 cannot hold (beyond 65504, or not a number).
    """
    state = {}
    for key, tensor in model.state_dict().items():
        value = tensor.detach().cpu()
        if value.is_floating_point():
            value = value.half()
            if not torch.isfinite(value).all():
                raise ValueError(f"tensor {key!r} holds a value that float16 cannot: did the training diverge?")
        # contiguous() alone would keep a channels_last layout of a copy; safetensors wants plain row-major storage
        state[key] = value.clone(memory_format=torch.contiguous_format)
    return state


def versions() -> dict[str, str]:
    """Versions of everything that shapes the weights."""
    packages = ("torch", "torchvision", "numpy", "opencv-python-headless", "safetensors")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def check_folder(folder: Path) -> None:
    """Called before a training that will end in `save_weights`. Raises OSError where nothing could be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def save_weights(name: str, model: nn.Module, card: dict, *, folder: Path = WEIGHTS) -> Path:
    """Write the model's weights and its card; returns the path of the weights.

    card: must hold `description`, `intended_use`, `limits`, `data`, `training` (with `command`, the rebuild command)
    and `metrics`; name, parameters, input, classes, versions, date and the file's size and checksum are filled in. Both
    files appear whole or not at all: they are written beside their place and then renamed.
    Raises ValueError for an incomplete card, and for weights that do not fit the network registered as `name`.
    """
    missing = [field for field in CARD_FIELDS if field not in card]
    if missing or "command" not in card.get("training", {}):
        raise ValueError(f"card of {name!r} lacks {', '.join(missing) or 'training.command'}: a card must say how")
    state = half_state(model)
    build(name).load_state_dict(state)  # raises before anything is written
    blob = format_safetensors(state, metadata={"format": "pt", "network": name})
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    full = {
        "name": name,
        **card,
        "input": {"shape": ["N", *INPUT_SHAPE], "dtype": "uint8 or float32", "values": "0..255"},
        "output": {"shape": ["N", len(CLASSES)], "dtype": "float32", "values": "logits"},
        "classes": list(CLASSES),
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights": {
            "file": weights_path(name).name,
            "dtype": "float16",
            "bytes": len(blob),
            "sha256": hashlib.sha256(blob).hexdigest(),
        },
        "versions": versions(),
        "created": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"  # may fail: so before the first rename
    write_atomic(weights_path(name, folder), blob)
    write_atomic(card_path(name, folder), text.encode())
    return weights_path(name, folder)


def _failure(name: str, folder: Path) -> Callable[[Path, str], WeightsError]:
    def fail(path: Path, what: str) -> WeightsError:
        return WeightsError(f"{path}: {what}. Rebuild it with `{rebuild_command(name, folder)}`.")

    return fail


def card(name: str, *, folder: Path = WEIGHTS) -> dict:
    """The network's model card.

    Raises WeightsError when it is missing, is not JSON, lacks a field, or has something else where the rest of the
    package relies on text, numbers or a checksum.
    """
    path, fail = card_path(name, folder), _failure(name, folder)
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise fail(path, "the model card is missing") from error
    except OSError as error:
        raise fail(path, f"the model card cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError; nested without end
        raise fail(path, f"the model card is not JSON ({error})") from error
    needed = ("name", *CARD_FIELDS, "parameters", "weights", "versions")
    missing = [field for field in needed if not isinstance(content, dict) or field not in content]
    if missing:
        raise fail(path, f"the model card lacks {', '.join(missing)}")
    if content["name"] != name:
        raise fail(path, f"this is the model card of {content['name']!r}, not of {name!r}")
    for field in ("training", "metrics", "weights"):
        if not isinstance(content[field], dict):
            raise fail(path, f"the model card's {field} are no mapping")
    file = content["weights"]
    if not _is_count(content["parameters"]):
        raise fail(path, "the model card's parameters are no whole number")
    if not _is_count(file.get("bytes")):
        raise fail(path, "the model card's weights.bytes is no whole number")
    if not isinstance(file.get("sha256"), str) or not re.fullmatch("[0-9a-f]{64}", file["sha256"]):
        raise fail(path, "the model card's weights.sha256 is no checksum of 64 hex digits")
    return content


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def load_weights(name: str, model: nn.Module | None = None, *, folder: Path = WEIGHTS) -> nn.Module:
    """The shipped network, checksum verified: float32, in eval mode, plain memory layout.

    model: a module to load into, by default `build(name)`. Raises WeightsError, saying which file, what is wrong with
    it (missing, truncated, another checksum, not safetensors, other tensors, values that are no numbers) and the
    command that rebuilds it.
    """
    model = build(name) if model is None else model
    path, fail = weights_path(name, folder), _failure(name, folder)
    if not path.is_file():
        raise fail(path, "the weights file is missing")
    expected = card(name, folder=folder)["weights"]
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise fail(path, f"the weights file cannot be read ({error})") from error
    if len(blob) < expected["bytes"]:
        raise fail(path, f"the weights file is truncated: {len(blob)} of {expected['bytes']} bytes")
    try:
        state = parse_safetensors(blob)
    except KeyError as error:  # a type of the format, such as F4, that this library does not give to torch
        raise fail(path, f"the weights file has tensors of type {error.args[0]}, which cannot be read") from error
    except Exception as error:  # a parser may fail in any way on damaged bytes
        raise fail(path, f"this is not a safetensors file ({error})") from error
    digest = hashlib.sha256(blob).hexdigest()
    if digest != expected["sha256"]:
        raise fail(
            path,
            f"the checksum is wrong: sha256 {digest[:12]}... where the model card {card_path(name, folder).name} "
            f"has {expected['sha256'][:12]}...; the file was changed or belongs to another training",
        )
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    got = {key: tuple(tensor.shape) for key, tensor in state.items()}
    if wanted != got:
        raise fail(path, f"these are not the weights of {name!r}: {_difference(wanted, got)}")
    for key, tensor in model.state_dict().items():
        if problem := _unfit(tensor, state[key]):
            raise fail(path, f"tensor {key!r} {problem}")
    model.load_state_dict(state)  # copies float16 into the module's own float32 parameters
    return model.float().eval()


def _unfit(wanted: Tensor, got: Tensor) -> str:
    """Why values of another kind, or none at all, cannot take a tensor's place; empty where they can."""
    if wanted.is_floating_point() != got.is_floating_point() or wanted.is_complex() != got.is_complex():
        kinds = (str(tensor.dtype).removeprefix("torch.") for tensor in (got, wanted))
        return "holds {} where the network has {}".format(*kinds)
    if wanted.is_floating_point() and not torch.isfinite(got.float()).all():
        return "holds values that are not finite"
    return ""


def _difference(wanted: dict[str, tuple], got: dict[str, tuple]) -> str:
    """The first difference between two sets of tensor shapes, in words."""
    for key, shape in wanted.items():
        if key not in got:
            return f"tensor {key!r} is missing"
        if got[key] != shape:
            return f"tensor {key!r} has shape {got[key]}, the network needs {shape}"
    return f"tensor {next(key for key in got if key not in wanted)!r} is not part of the network"


def load(name: str) -> nn.Module:
    """The shipped network by name, ready to predict: `load_weights` from the package's own folder."""
    return load_weights(name)


def total_size(folder: Path = WEIGHTS) -> int:
    """Bytes of all weights files in the folder."""
    return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
