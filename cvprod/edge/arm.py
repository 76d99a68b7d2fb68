"""The real Arm build of LiteRT on this machine, by qemu's user-mode emulation: the check that needs no board.

`prepare` (root, Debian or Ubuntu, some minutes of download) lays out Debian's arm64 Python and the aarch64 wheels of
ai-edge-litert and numpy under `_build/arm64`. `compare` runs one model there and here on the same tiles. Emulation
says nothing about speed; it says whether the Arm kernels (NEON, dot product) give the same answers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cvprod.repo import root

QEMU = "qemu-aarch64"
_PACKAGES = ("backports.strenum", "flatbuffers", "tqdm", "typing-extensions", "ml_dtypes", "protobuf")

# LiteRT chooses its kernels by what /proc/cpuinfo says; qemu hands through the host's. The part numbers are Arm's.
_PARTS = {"cortex-a53": "0xd03", "cortex-a72": "0xd08", "cortex-a76": "0xd0b"}
_OLD = "fp asimd evtstrm crc32 cpuid"
_NEW = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"

_CHILD = """
import sys, platform
import numpy as np
from ai_edge_litert.interpreter import Interpreter
sys.path.insert(0, sys.argv[4])
from engine import open_model
from pathlib import Path
np.save(sys.argv[3], open_model(Path(sys.argv[1]))(np.load(sys.argv[2])))
print(platform.machine())
"""


class ArmError(RuntimeError):
    """The emulation is not set up, or failed; the message says what to do."""


def home() -> Path:
    """Where the Arm file system and wheels lie."""
    return Path(os.environ.get("CVPROD_ARM64", root() / "_build" / "arm64"))


def missing() -> str:
    """Why the check cannot run here, or an empty string."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed (apt-get install qemu-user debootstrap)"
    if not (home() / "ready").is_file():
        return "the Arm file system is not there (python -m cvprod.edge arm --prepare)"
    return ""


def prepare() -> None:
    """Fetch what `compare` needs; a second call does nothing. Raises ArmError naming the step that failed."""
    if (home() / "ready").is_file():
        return
    for tool in (QEMU, "debootstrap", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ArmError(f"{tool} is missing: apt-get install qemu-user debootstrap")
    shutil.rmtree(home(), ignore_errors=True)
    rootfs, site = home() / "rootfs", home() / "site"
    site.mkdir(parents=True)
    # --foreign unpacks the base system and only fetches the rest: nothing foreign runs, so no binfmt setup is needed.
    _step(["debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", "--include=python3,libstdc++6",
           "bookworm", str(rootfs), os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")])  # fmt: skip
    for package in (rootfs / "var/cache/apt/archives").glob("*.deb"):
        if any(word in package.name for word in ("python3", "libstdc++", "libexpat", "libffi", "libssl", "libsqlite")):
            _unpack(package, rootfs)
    if (rootfs / "proc").is_symlink():
        (rootfs / "proc").unlink()
    (rootfs / "proc").mkdir(exist_ok=True)
    platforms = ["manylinux_2_17_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64"]
    wanted = [f"ai-edge-litert=={version('ai-edge-litert')}", f"numpy=={version('numpy')}", *_PACKAGES]
    uv = Path(sys.executable).parent / "uv"
    installer = [str(uv if uv.exists() else "uv"), "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    _step([*installer, "--python-version=3.11", f"--python-platform={platforms[2]}", f"--target={site}", *wanted])
    (home() / "ready").write_text("ok\n")


def _step(command: list[str], given: bytes | None = None) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ArmError(f"{command[0]} failed: {said[-400:]}")
    return done.stdout


def _unpack(package: Path, rootfs: Path) -> None:
    """Like `dpkg-deb -x`, which would replace the link lib -> usr/lib by a package's folder lib."""
    _step(
        ["tar", "-x", "--keep-directory-symlink", "-C", str(rootfs)],
        _step(["dpkg-deb", "--fsys-tarfile", str(package)]),
    )


def run(model: Path, tiles: np.ndarray, *, cpu: str = "cortex-a76", timeout: float = 300.0) -> np.ndarray:
    """Logits (N, 7) float32 of a .tflite file for uint8 tiles (N, 1, 96, 96), computed by the Arm wheel.

    Raises ArmError: not set up, unknown CPU, or the emulated process failed.
    """
    if reason := missing():
        raise ArmError(reason)
    if cpu not in _PARTS:
        raise ArmError(f"cpu must be one of {', '.join(_PARTS)}, not {cpu!r}")
    rootfs = home() / "rootfs"
    features = _NEW if cpu == "cortex-a76" else _OLD
    core = f"Features\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: "
    core += f"{_PARTS[cpu]}\nCPU revision\t: 1\n\n"
    (rootfs / "proc" / "cpuinfo").write_text("".join(f"processor\t: {i}\n{core}" for i in range(4)))
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "tiles.npy", Path(folder) / "logits.npy"
        np.save(given, tiles)
        environment = {"PYTHONHOME": str(rootfs / "usr"), "PYTHONPATH": str(home() / "site")}
        settings = [part for name, value in environment.items() for part in ("-E", f"{name}={value}")]
        command = [QEMU, "-cpu", cpu, "-L", str(rootfs), *settings, str(rootfs / "usr/bin/python3.11"), "-c", _CHILD]
        command += [str(Path(model).resolve()), str(given), str(taken), str(Path(__file__).parent)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode or done.stdout.strip() != "aarch64":
            raise ArmError(f"the emulated process failed ({done.returncode}): {done.stderr.strip()[-400:]}")
        return np.load(taken)


def compare(model: Path | None = None, *, cpu: str = "cortex-a76", n: int = 8) -> dict:
    """Run a model on both architectures on n tiles.

    model: a .tflite file; a small untrained network converted on the spot when None.

    Returns {"model", "cpu", "tiles", "max_abs_diff", "same_argmax" (share)}.
    """
    from cvprod.surface import make_set

    from .engine import open_model

    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            import torch

            from cvprod import models
            from cvprod.runtimes import litert

            torch.manual_seed(0)
            model = litert.convert(models.build("shufflenet_v2_x0_5").eval(), Path(folder) / "small.tflite")
        images = make_set(n, seed=5).images
        there, here = run(model, images, cpu=cpu), open_model(model)(images)
    return {
        "model": Path(model).name,
        "cpu": cpu,
        "tiles": n,
        "max_abs_diff": float(np.abs(there - here).max()),
        "same_argmax": float((there.argmax(1) == here.argmax(1)).mean()),
    }
