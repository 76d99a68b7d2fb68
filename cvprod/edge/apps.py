"""The models that the phone apps come with: the network of the test vectors, as LiteRT and as Core ML files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cvprod.files import write_atomic

from .vectors import default_network, load_network

ANDROID = Path("android/app/src/main/assets/model.tflite")
IOS = Path("ios/Inspector/Resources/Model.mlpackage")


def write(folder: Path, network: str | None = None) -> list[Path]:
    """Convert a shipped network into both apps.

    Args:
        folder: deploy/mobile, which holds the folders android and ios.
        network: None is the one that the test vectors were made with.

    LiteRT gets float32, which CPU and GPU both take; Core ML gets float16, which the Neural Engine computes in, and a
    fixed shape of one tile, without which that engine is there for the default shape only. A model is replaced only
    once its conversion has worked. Raises ValueError where `folder` holds no apps, and MissingRuntimeError where a
    converter is not installed.
    """
    from cvprod.runtimes import coreml, litert

    folder = Path(folder)
    if missing := [name for name in ("android", "ios") if not (folder / name).is_dir()]:
        raise ValueError(f"{folder}: no app in {' or '.join(missing)}; name the folder deploy/mobile of a checkout")
    model = load_network(network or default_network())
    with tempfile.TemporaryDirectory() as scratch:
        lite = litert.convert(model, Path(scratch) / "model")
        package = coreml.convert(model, Path(scratch) / "Model", precision="fp16", batch=1)
        (folder / ANDROID).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / ANDROID, lite.read_bytes())
        shutil.rmtree(folder / IOS, ignore_errors=True)
        shutil.copytree(package, folder / IOS)
    return [folder / ANDROID, folder / IOS]
