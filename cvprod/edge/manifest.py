"""What a model update says about itself, and the signature that makes it believable.

A channel is a folder of static files behind any web server:

    manifest.json        what is on offer (the fields of `Manifest`)
    manifest.json.sig    Ed25519 signature over the exact bytes of manifest.json, base64
    v7/model.tflite      the files, in a folder for each version
    v7/model.tflite.from-1a2b3c4d.delta

The signature covers bytes, not a parsed document: a reader verifies first and parses afterwards, and three languages
need not agree on a canonical form of JSON. Ed25519: RFC 8032. The phones read the same format.

A manifest has no date of expiry: a device cannot tell an old offer that somebody keeps in place (a freeze attack) from
a quiet year. Compare the versions that devices report with the one that was published.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from .delta import ALGORITHM, STRIDES

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
MAX_MANIFEST = 256 * 1024  # bytes; a device never reads more than this before it has verified a signature


class UpdateError(ValueError):
    """An update was refused. The message says why and what to do; the running model is untouched."""


class SignatureError(UpdateError):
    """The manifest was not signed by a key that this device trusts."""


@dataclass(frozen=True)
class DeltaFile:
    """A patch that saves downloading the whole file to those who have the file with SHA-256 `base_sha256`."""

    path: str
    size: int
    sha256: str
    base_sha256: str
    stride: int
    algorithm: str = ALGORITHM


@dataclass(frozen=True)
class ModelFile:
    """One file of the model: `path` in the channel, `install_as` below the slot, size in bytes, SHA-256 as hex."""

    path: str
    install_as: str
    size: int
    sha256: str
    deltas: tuple[DeltaFile, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """One version of one model.

    Attributes:
        name: which model; a device takes only the one that it was set up for.
        version: whole number from 1, which only grows: the order of versions must not depend on how a string sorts.
        files: what to install; the first one is what the runtime opens (a folder format lists all its files).
        min_app_version: the oldest app, as "1.2.3", that can run it.
        created: UTC, ISO 8601.
        classes: names of the logits, in order.
        metrics: what the publisher measured; shown, never trusted (the device runs its own health check).
    """

    name: str
    version: int
    files: tuple[ModelFile, ...]
    min_app_version: str
    created: str
    classes: tuple[str, ...]
    metrics: dict[str, float] = field(default_factory=dict)
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """The JSON text that is signed and served."""
        return (json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n").encode()


def parse(data: bytes) -> Manifest:
    """Read a manifest whose signature has been verified. Raises UpdateError that names the faulty field."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UpdateError(f"the manifest is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        said = document.get("format") if isinstance(document, dict) else None
        raise UpdateError(f"the manifest has format {said!r}; this program reads format {FORMAT}: update the program")
    try:
        files = tuple(
            ModelFile(**{**file, "deltas": tuple(DeltaFile(**d) for d in file["deltas"])}) for file in document["files"]
        )
        manifest = Manifest(**{**document, "files": files, "classes": tuple(document["classes"])})
    except (TypeError, KeyError) as error:
        raise UpdateError(f"the manifest lacks a field, or has one too many: {error}") from error
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    def require(ok: bool, what: str) -> None:
        if not ok:
            raise UpdateError(f"the manifest's {what}")

    require(isinstance(manifest.name, str) and bool(re.fullmatch(r"[\w.-]{1,80}", manifest.name)),
            f"name {manifest.name!r} is not made of letters, digits and ._-")  # fmt: skip
    require(type(manifest.version) is int and manifest.version >= 1, f"version {manifest.version!r} is not 1, 2, 3...")
    parse_version(manifest.min_app_version)
    require(len(manifest.files) > 0, "list of files is empty")
    names = [file.install_as for file in manifest.files]
    require(len(set(names)) == len(names), "files overwrite each other")
    for file in manifest.files:
        for entry in (file, *file.deltas):
            require(type(entry.size) is int and entry.size >= 0, f"size of {entry.path!r} is no number of bytes")
            require(bool(re.fullmatch(r"[0-9a-f]{64}", str(entry.sha256))), f"sha256 of {entry.path!r} is not 64 hex")
            _check_path(entry.path)
        _check_path(file.install_as)
        for delta in file.deltas:
            require(delta.stride in STRIDES, f"delta {delta.path!r} has stride {delta.stride!r}, not 1, 2 or 4")


def _check_path(path: str) -> None:
    """Refuse paths that could leave the channel or the slot."""
    parts = PurePosixPath(str(path)).parts
    if not parts or any(part in ("..", "/", ".") for part in parts) or not re.fullmatch(r"[\w./-]+", str(path)):
        raise UpdateError(f"the manifest's path {path!r} is not a plain relative path")


def parse_version(text: str) -> tuple[int, int, int]:
    """`"1.2.3"` as (1, 2, 3). Raises UpdateError for anything else."""
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", str(text))
    if not found:
        raise UpdateError(f"app version {text!r} is not of the form 1.2.3")
    a, b, c = found.groups()
    return int(a), int(b), int(c)


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


# --- keys --------------------------------------------------------------------------------------------------


def new_key(path: Path) -> str:
    """Write a fresh private key (PEM, readable by its owner alone); return the public key, base64 of 32 bytes.

    Raises FileExistsError rather than overwrite: a lost key means visiting every device.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return public_key(key)


def public_key(key: Ed25519PrivateKey) -> str:
    """The public half, as base64 of its 32 raw bytes: what a device trusts."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def check_public_keys(keys: Sequence[str]) -> None:
    """Raise UpdateError unless each is a public key as `new_key` returns it: others would trust nobody, silently."""
    for text in keys:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
        except ValueError:
            raise UpdateError(f"{text!r} is no public key: give what `python -m cvprod.edge keygen` printed") from None


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key that `new_key` wrote. Raises UpdateError for another kind of key."""
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except FileNotFoundError:
        raise UpdateError(f"{path}: no such key; make one with `python -m cvprod.edge keygen`") from None
    except (ValueError, TypeError) as error:
        raise UpdateError(f"{path}: not an unencrypted PEM private key ({error})") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UpdateError(f"{path}: not an Ed25519 key; make one with `python -m cvprod.edge keygen`")
    return key


def sign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """The content of manifest.json.sig."""
    return base64.b64encode(key.sign(data)) + b"\n"


def verify(data: bytes, signature: bytes, trusted: list[str]) -> None:
    """Raise SignatureError unless one of the `trusted` public keys (base64) signed exactly these bytes.

    More than one key can be trusted, so that a new key can be rolled out before the old one is retired.
    """
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except binascii.Error as error:
        raise SignatureError(f"the signature is not base64 ({error})") from error
    if not trusted:
        raise SignatureError("this device trusts no key yet; put the public key into trusted.keys")
    for text in trusted:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(text)).verify(raw, data)
            return
        except (InvalidSignature, ValueError):
            continue
    raise SignatureError("no trusted key has signed this manifest: it was changed on its way, or is someone else's")
