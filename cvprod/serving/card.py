"""What a model says about itself, and its file held to it. Without numpy: the supervisor, which owns the port and never
runs a network, starts with this alone.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ModelError(ValueError):
    """A model that must not serve; the message says what is wrong with it, without the path of the file."""


class Card(BaseModel):
    """What a model says about itself. `file` is relative to the card."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[\w.-]+$", max_length=64)  # a count inside the pattern takes 50 ms to compile
    version: str = Field(pattern=r"^[\w.+-]+$", max_length=64)
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    classes: tuple[str, ...] = Field(min_length=2)
    temperature: float = Field(gt=0, le=100)
    self_test: tuple[float, ...]
    calibration: dict[str, float] = {}


def read(path: Path) -> tuple[Card, bytes]:
    """A card and the bytes of its file, which must be those of the card's hash. Raises ModelError."""
    path = Path(path)
    where = path if path.suffix == ".json" else path.with_suffix(".json")
    try:
        card = Card.model_validate_json(where.read_bytes())
    except OSError:
        raise ModelError(
            "there is no card beside the model; write one with `python -m cvprod.serving calibrate`"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"the model's card: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    try:
        data = (where.parent / card.file).read_bytes()
    except OSError:
        raise ModelError("the file that the model's card names cannot be read") from None
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise ModelError("the model file is not the one that its card names (SHA-256 differs)")
    return card, data


def keep(path: Path, folder: Path) -> Path:
    """Copy a checked model into a folder of our own, so that a worker started later gets the same bytes whatever has
    happened to the original since. Returns the copy's card. Raises ModelError."""
    card, data = read(path)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{card.name}-{card.sha256[:16]}-{hashlib.sha256(card.model_dump_json().encode()).hexdigest()[:8]}"
    for suffix, content in (
        (".onnx", data),
        (".json", card.model_copy(update={"file": f"{name}.onnx"}).model_dump_json().encode()),
    ):
        partial = folder / f"{name}{suffix}.{os.getpid()}"
        partial.write_bytes(content)
        partial.replace(folder / f"{name}{suffix}")
    return folder / f"{name}.json"
