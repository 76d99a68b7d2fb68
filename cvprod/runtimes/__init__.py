"""One network in every runtime of the book, behind one small interface.

    from cvprod import runtimes
    path = runtimes.get("litert").convert(model, "steel.tflite", precision="int8", calibration=images)
    run = runtimes.get("litert").load(path, threads=2)
    logits = run(images)                        # uint8 or float32 (N, 1, 96, 96) -> float32 (N, 7)
    run.describe()

Importing this package imports none of the runtimes: a device installs the one that it serves with.
"""

import importlib
from types import ModuleType

from cvprod.runtimes.interface import (
    INPUT,
    Description,
    InputError,
    MissingRuntimeError,
    ModelFileError,
    Runtime,
    UnsupportedPlatformError,
    quiet,
)

#: Modules of this package, each with NAME, SUFFIX, PRECISIONS, convert() and load().
RUNTIMES = ("pytorch", "onnxruntime", "openvino", "litert", "executorch", "coreml", "tensorrt")


def get(name: str) -> ModuleType:
    """The module of a runtime by its name in RUNTIMES, or ValueError with the names."""
    if name not in RUNTIMES:
        raise ValueError(f"unknown runtime {name!r}; known: {', '.join(RUNTIMES)}")
    return importlib.import_module(f"cvprod.runtimes.{name}")


__all__ = [
    "INPUT", "RUNTIMES", "Description", "InputError", "MissingRuntimeError", "ModelFileError", "Runtime",
    "UnsupportedPlatformError", "get", "quiet",
]  # fmt: skip
