"""Models from elsewhere: pickles that do something, and models that must not serve.

What scanners say of the pickles: `cvprod.stack.scanners`.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from cvprod.edge import manifest
from cvprod.files import write_atomic
from cvprod.serving import card as serving

from . import signing


class _Runs:
    """Unpickled, it runs a command: `true`, which does nothing."""

    def __reduce__(self) -> tuple:
        return os.system, ("true",)


class _Imports:
    """Unpickled, it imports a module, whose code runs; `this` prints a poem."""

    def __reduce__(self) -> tuple:
        return importlib.import_module, ("this",)


EXAMPLES: dict[str, object] = {"runs a command": _Runs(), "imports a module": _Imports(), "harmless": {"w": [1, 2]}}


def pickles() -> dict[str, bytes]:
    """Three pickles, of which two run code when they are opened. The code does no harm."""
    return {name: pickle.dumps(value, protocol=2) for name, value in EXAMPLES.items()}


# --- a model that must not serve ---------------------------------------------------------------------------


def _flip(where: Path) -> None:
    """One bit of the model's file."""
    path = where.parent / serving.Card.model_validate_json(where.read_bytes()).file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _pickle(where: Path) -> None:
    (where.parent / serving.Card.model_validate_json(where.read_bytes()).file).write_bytes(pickles()["runs a command"])


def _unsigned(where: Path) -> None:
    where.with_name(where.name + serving.SIGNATURE).unlink()


def _stranger(where: Path) -> None:
    """Signed, and well: by somebody whom nobody trusts."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "stranger.pem"
        manifest.new_key(key)
        signing.sign(where, key)


def _other_card(where: Path) -> None:
    """Whoever changes the file can write its hash into the card, but not sign that."""
    document = json.loads(where.read_bytes())
    write_atomic(where, json.dumps({**document, "temperature": 50.0}).encode())


CHANGES: dict[str, Callable[[Path], None]] = {
    "one bit of the file changed": _flip,
    "a pickle in the file's place": _pickle,
    "no signature": _unsigned,
    "signed by a stranger": _stranger,
    "the card changed": _other_card,
}


def changed(where: Path, change: Callable[[Path], None], folder: Path) -> Path:
    """A copy of a signed model in `folder`, after the change; returns its card."""
    card = serving.Card.model_validate_json(where.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    for path in (where, where.with_name(where.name + serving.SIGNATURE), where.parent / card.file):
        shutil.copy(path, folder / path.name)
    copy = folder / where.name
    change(copy)
    return copy


def refusal(where: Path, keys: Path, change: Callable[[Path], None]) -> str:
    """What the service says of a signed model after the change; nothing where it would take it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            serving.read(changed(where, change, Path(folder)), keys)
        except serving.ModelError as error:
            return str(error)
    return ""
