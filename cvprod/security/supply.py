"""Models from elsewhere: pickles that do something, what scanners say of them, and models that must not serve."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from cvprod.edge import manifest
from cvprod.files import write_atomic
from cvprod.repo import ROOT
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


def scan(files: dict[str, bytes]) -> dict[str, dict[str, str]]:
    """What picklescan, fickling and modelscan say of files: {scanner: {name: verdict}}.

    They run in an environment of their own (`cvprod.stack.peers`), made on demand. Raises RuntimeError where it cannot
    be made: without a network, say.
    """
    from cvprod.stack import peers

    python = peers.environment("scanners")
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (name, data) in enumerate(files.items()):
            suffix = Path(name).suffix if Path(name).suffix in (".onnx", ".safetensors") else ".pkl"
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(data)
            paths[str(path)] = name
        command = [python, ROOT / "cvprod" / "stack" / "peers" / "scanners_app.py", *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the scanners failed: {done.stderr.strip()[-300:]}")
    said = json.loads(done.stdout)
    return {scanner: {paths[path]: verdict for path, verdict in found.items()} for scanner, found in said.items()}


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
