"""A board's Python is the one of its system image: on JetPack 6 that is 3.10, older than this project's own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cvprod.repo import root

CONTAINER = root() / "deploy/edge/jetson/Containerfile"
MODULES = ("cli", "delta", "engine", "journal", "loop", "manifest", "sources", "update", "watchdog")


def interpreter() -> str | None:
    """A Python 3.10 that starts; a shim on the PATH may not."""
    kept = sorted(Path.home().glob(".pyenv/versions/3.10.*/bin/python")) + sorted(
        Path.home().glob(".local/share/uv/python/cpython-3.10*/bin/python3.10")
    )
    for found in filter(None, (shutil.which("python3.10"), *map(str, kept))):
        asked = subprocess.run([found, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if asked.stdout.strip() == "(3, 10)":
            return found
    return None


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with the packages that the container installs, and what the tests import."""
    if (found := interpreter()) is None:
        pytest.skip("no Python 3.10 on this machine (uv python install 3.10)")
    text = CONTAINER.read_text().replace("\\\n", " ")  # lines that go on
    packages = re.search(r"pip install --no-cache-dir (.+)", text)[1]
    folder, uv = tmp_path_factory.mktemp("py310"), Path(sys.executable).with_name("uv")
    made = folder / "bin/python"
    for command in (
        [uv, "venv", "--quiet", "--python", found, folder],
        [uv, "pip", "install", "--quiet", "--python", made, *shlex.split(packages), "onnx", "pytest", "pytest-timeout"],
    ):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"its packages cannot be had: {done.stderr.strip()[-200:]}")
    return made


def test_every_module_of_the_device_imports(python):
    code = "import " + ", ".join(f"cvprod.edge.{name}" for name in MODULES)
    environment = os.environ | {"PYTHONPATH": str(root())}
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-1000:]


def test_updates_work_there(python, tmp_path):
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        root(),
        "--import-mode=importlib",
        "-k",
        "install",
    ]
    command += ["-p", "no:cacheprovider", f"--basetemp={tmp_path / 't'}", root() / "tests/cvprod/edge/test_update.py"]
    environment = os.environ | {"PYTHONPATH": str(root())}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 3
