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


#: Ends the name of a card's signature, which lies beside it: base64 of an Ed25519 signature over the card's bytes.
SIGNATURE = ".sig"


def read(path: Path, keys: Path | None = None) -> tuple[Card, bytes]:
    """A card and the bytes of its file, which must be those of the card's hash.

    keys: a file of public keys, base64, one a line. With it the card must be signed by one of them, and so is the file:
    the card holds its hash. Raises ModelError.
    """
    path = Path(path)
    where = path if path.suffix == ".json" else path.with_suffix(".json")
    try:
        text = where.read_bytes()
    except OSError:
        raise ModelError(
            "there is no card beside the model; write one with `python -m cvprod.serving calibrate`"
        ) from None
    if keys is not None:
        check_signature(where, text, keys)
    try:
        card = Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"the model's card: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    try:
        data = (where.parent / card.file).read_bytes()
    except OSError:
        raise ModelError("the file that the model's card names cannot be read") from None
    if is_pickle(data):
        raise ModelError("the model file is a pickle, which may run any code when it is opened; export it to ONNX")
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise ModelError("the model file is not the one that its card names (SHA-256 differs)")
    return card, data


def is_pickle(data: bytes) -> bool:
    """Whether a file is what `pickle` or `torch.save` writes: binary protocols, and ZIP files that hold one."""
    return (data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5")) or (
        data[:4] == b"PK\3\4" and b".pkl" in data
    )


def check_signature(card: Path, text: bytes, keys: Path) -> None:
    """Raise ModelError unless a key of the file `keys` signed exactly these bytes of the card."""
    try:
        from cvprod.edge import manifest  # only a service that asks for signatures needs its libraries
    except ImportError:
        raise ModelError("this installation cannot check signatures; install cvprod[edge]") from None
    try:
        trusted = [line.strip() for line in keys.read_text().splitlines() if line.strip() and line[0] != "#"]
    except (OSError, ValueError):
        raise ModelError("the file of public keys cannot be read, so no model can be trusted") from None
    try:
        signature = card.with_name(card.name + SIGNATURE).read_bytes()
    except OSError:
        raise ModelError(
            "the model is not signed, and this service takes none that is not; "
            "sign it with `python -m cvprod.security sign`"
        ) from None
    try:
        manifest.verify(text, signature, trusted)
    except manifest.SignatureError:
        raise ModelError("no key that this service trusts has signed this model's card") from None


def keep(path: Path, folder: Path, keys: Path | None = None) -> Path:
    """Copy a checked model into a folder of our own, so that a worker started later gets the same bytes whatever has
    happened to the original since. Returns the copy's card. keys: see `read`. Raises ModelError."""
    card, data = read(path, keys)
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
