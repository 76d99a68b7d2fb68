"""Run the cells that need special hardware, where that hardware is, and record what they print.

``python -m cvprod.book.hardware --tag gpu`` runs, in every notebook that has such cells, the cells tagged ``setup`` and
then the tagged ones, in order. Their outputs go back into the notebook with the machine, the date and the versions
that made them; the site shows these beside the outputs. A cell that fails leaves its notebook as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import datetime
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from cvprod.book.notebooks import HARDWARE_TAGS, bootstrap_extra, committed, hardware, read, tags, write
from cvprod.repo import ROOT

SETUP_TAG = "setup"
#: Packages whose versions explain a recorded number, where they are installed.
EXPLAINING = (
    "torch",
    "torchvision",
    "torchao",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "coremltools",
    "numpy",
)


class MissingHardware(RuntimeError):
    """This machine cannot run the tagged cells; the message says what is missing."""


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise MissingHardware("PyTorch sees no CUDA device: check nvidia-smi and the driver's version")
    return torch.cuda.get_device_name(0)


def _tensorrt() -> str:
    name = _gpu()
    if importlib.util.find_spec("tensorrt") is None:
        raise MissingHardware("the package tensorrt is not installed: pip install tensorrt")
    return name


def _jetson() -> str:
    model = Path("/proc/device-tree/model")
    if not (model.exists() and "jetson" in model.read_text(errors="ignore").lower()):
        raise MissingHardware("this is not a Jetson board (/proc/device-tree/model does not name one)")
    return model.read_text(errors="ignore").strip("\0\n ")


def _coral() -> str:
    listing = _command("lsusb")
    if not re.search("1a6e:089a|18d1:9302", listing):
        raise MissingHardware("lsusb lists no Coral USB accelerator")
    return "Coral USB accelerator"


def _macos() -> str:
    if platform.system() != "Darwin":
        raise MissingHardware(f"this is {platform.system()}, not macOS")
    return f"macOS {platform.mac_ver()[0]}"


def _android() -> str:
    lines = [line.split("\t")[0] for line in _command("adb", "devices").splitlines() if line.endswith("\tdevice")]
    if not lines:
        raise MissingHardware("adb lists no connected device: start an emulator or plug in a phone")
    return f"Android device {_command('adb', 'shell', 'getprop', 'ro.product.model').strip()}"


def _docker() -> str:
    return f"Docker {_command('docker', 'version', '--format', '{{.Server.Version}}').strip()}"


def _cloud() -> str:
    if not any(shutil.which(tool) for tool in ("aws", "gcloud", "az")):
        raise MissingHardware("none of aws, gcloud and az is installed")
    return "cloud account"


#: For each tag, a probe that names the hardware or raises MissingHardware.
PROBES: dict[str, Callable[[], str]] = {
    "gpu": _gpu,
    "tensorrt": _tensorrt,
    "jetson": _jetson,
    "coral": _coral,
    "macos": _macos,
    "android": _android,
    "docker": _docker,
    "cloud": _cloud,
}
assert set(PROBES) == HARDWARE_TAGS


def _command(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingHardware(f"{words[0]} does not run here: {error}") from error
    if done.returncode:
        raise MissingHardware(f"{' '.join(words)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def provenance(device: str) -> dict:
    """Return what is recorded with outputs: device, processor, ISO date (UTC) and package versions."""
    versions = {"python": platform.python_version()}
    for name in EXPLAINING:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "machine": f"{device}, {platform.system()} {platform.machine()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions,
    }


def _is_wanted(cell: nbformat.NotebookNode, tag: str) -> bool:
    return cell.cell_type == "code" and tag in hardware(cell)


def _is_setup(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and (SETUP_TAG in tags(cell) or bootstrap_extra(cell) is not None)


def _scrub(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Replace this machine's home and checkout in text outputs: they tell a reader nothing."""

    def clean(value):
        if isinstance(value, str):
            return value.replace(str(ROOT), ".").replace(str(Path.home()) + "/", "~/")
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        return value

    return nbformat.from_dict(clean(output))


def record(path: Path, tag: str, device: str, *, timeout: int = 1800) -> int:
    """Run the ``tag`` cells of the notebook at ``path`` after its setup cells; return how many were recorded.

    Writes the notebook only when every one of them ran. Raises CellExecutionError for a failing cell and
    CellTimeoutError for one that takes longer than ``timeout`` seconds; the file is then unchanged.
    """
    notebook = read(path)
    wanted = [cell for cell in notebook.cells if _is_wanted(cell, tag)]
    if not wanted:
        return 0
    run = copy.deepcopy(notebook)
    run.cells = [cell for cell in run.cells if _is_setup(cell) or _is_wanted(cell, tag)]
    for cell in run.cells:  # nbclient obeys skip-execution; here is the place that does not want it
        cell.metadata["tags"] = [name for name in cell.metadata.get("tags", []) if name != "skip-execution"]
    NotebookClient(
        run, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    made = {cell.id: cell for cell in run.cells}
    label = provenance(device)
    for cell in wanted:
        cell.outputs = [_scrub(output) for output in made[cell.id].outputs]
        cell.metadata["recorded"] = label
    write(notebook, path)
    return len(wanted)


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command line; returns the exit status (2: the hardware is not here, 1: a cell failed)."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.book.hardware", description=__doc__.split("\n")[0])
    parser.add_argument("--tag", required=True, choices=sorted(HARDWARE_TAGS))
    parser.add_argument("--timeout", type=int, default=1800, metavar="SECONDS", help="limit for one cell")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every chapter")
    options = parser.parse_args(arguments)
    try:
        device = PROBES[options.tag]()
    except MissingHardware as error:
        print(f"Nothing was run or changed: {error}", file=sys.stderr)
        return 2
    total = 0
    for path in options.notebooks or committed():
        try:
            count = record(path, options.tag, device, timeout=options.timeout)
        except (ValueError, OSError, CellExecutionError, CellTimeoutError) as error:
            print(f"{path.name} is unchanged: {error}", file=sys.stderr)
            return 1
        if count:
            print(f"{path.name}: recorded {count} cells on {device}")
        total += count
    if not total:
        print(f"No notebook has a cell tagged {options.tag}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
