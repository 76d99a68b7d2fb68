"""What three scanners of pickles say of a file."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from cvprod.stack import peers


def scan(files: dict[str, bytes]) -> dict[str, dict[str, str]]:
    """What picklescan, fickling and modelscan say of files: {scanner: {name: verdict}}.

    They run in an environment of their own (see `peers`), made on demand. Raises RuntimeError where it cannot
    be made: without a network, say.
    """
    python = peers.environment("scanners")
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (name, data) in enumerate(files.items()):
            suffix = Path(name).suffix if Path(name).suffix in (".onnx", ".safetensors") else ".pkl"
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(data)
            paths[str(path)] = name
        command = [python, peers.HERE / "scanners_app.py", *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the scanners failed: {done.stderr.strip()[-300:]}")
    said = json.loads(done.stdout)
    return {scanner: {paths[path]: verdict for path, verdict in found.items()} for scanner, found in said.items()}
