"""What every runtime of the book looks like from outside.

A runtime is a module with two functions, kept apart because they run on different machines: `convert` needs the
framework that trained the network, `load` only the small library that serves it.

    path = convert(model, path, precision="int8", calibration=images)    # on the workstation
    run = load(path, threads=1)                                          # where the camera is
    logits = run(images)            # uint8 or float32 (N, 1, 96, 96), pixels 0..255 -> float32 (N, 7)
    run.describe().precision        # what it computes in, which is not always what was asked for
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np

from cvprod.quiet import quiet, uncollected
from cvprod.surface import CLASSES, INPUT_SIZE

#: Shape of one network input, channel first.
INPUT = (1, INPUT_SIZE, INPUT_SIZE)


class MissingRuntimeError(ImportError):
    """A package that this runtime needs is not installed; the message says what to install."""


class UnsupportedPlatformError(RuntimeError):
    """The runtime exists, but not on this operating system or without this hardware; the message says where."""


class ModelFileError(ValueError):
    """A model file is missing, damaged, of another format, or made for another input."""


class InputError(ValueError):
    """A batch has another shape, type or value range than the networks take."""


@dataclass(frozen=True)
class Description:
    """What a loaded model really is.

    `precision` is the type of the convolutions as the runtime reports them, not the name of the file; `batch` is the
    largest batch that goes through in one call (None: any); `size_bytes` counts every file of the model.
    """

    runtime: str
    version: str
    precision: str
    threads: int
    file: Path | None
    size_bytes: int | None
    batch: int | None = None
    note: str = ""

    def as_dict(self) -> dict:
        """Plain values, for a table or a JSON file."""
        return asdict(self) | {"file": str(self.file) if self.file else None}


class Runtime(ABC):
    """A loaded model: call it with a batch, ask it what it is.

    One object serves one thread at a time: give every worker its own.
    """

    #: Largest batch of one native call; larger ones are cut into pieces of at most this size.
    batch: int | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits of a batch.

        Args:
            images: uint8 or float32 (N, 1, 96, 96), N >= 1, pixel values 0..255.

        Returns:
            float32 (N, 7).

        Raises:
            InputError: wrong type or shape, or a float batch with a NaN or infinite pixel.
        """
        x = checked(images)
        if self.batch is None or len(x) <= self.batch:
            return self._run(x)
        parts = [self._run(x[start : start + self.batch]) for start in range(0, len(x), self.batch)]
        return np.concatenate(parts)

    @abstractmethod
    def _run(self, x: np.ndarray) -> np.ndarray:
        """float32 contiguous (n, 1, 96, 96), n <= `batch` -> float32 (n, 7)."""

    @abstractmethod
    def describe(self) -> Description:
        """What the loaded model is: library, version, real precision, threads, file."""


def checked(images: np.ndarray) -> np.ndarray:
    """The batch as contiguous float32, or InputError: the one check in front of every runtime."""
    if not isinstance(images, np.ndarray):
        raise InputError(f"expected a NumPy array, got {type(images).__name__}: convert it with np.asarray first")
    if images.dtype not in (np.uint8, np.float32):
        raise InputError(f"expected uint8 or float32 pixels (0..255), got {images.dtype}: use .astype(np.float32)")
    if images.ndim != 4 or images.shape[1:] != INPUT or not len(images):
        raise InputError(
            f"expected shape (N, {INPUT[0]}, {INPUT[1]}, {INPUT[2]}) with N >= 1, got {images.shape}: "
            "cvprod.surface.to_input makes a network input from a camera tile"
        )
    if images.dtype == np.float32 and not np.isfinite(images).all():
        raise InputError("the batch holds a NaN or infinite pixel: look at the step before this one")
    return np.ascontiguousarray(images, dtype=np.float32)


def check_logits(logits: np.ndarray, n: int, path: Path | None) -> np.ndarray:
    """float32 (n, 7), or ModelFileError: a file that loads may still hold somebody else's network."""
    logits = np.asarray(logits, dtype=np.float32)
    if logits.shape != (n, len(CLASSES)):
        raise ModelFileError(
            f"{path}: gives an output of shape {logits.shape} for {n} tiles, not ({n}, {len(CLASSES)}): "
            "this is not a network of this case study"
        )
    return logits


def check_file(path: str | Path, *, suffix: str, magic: bytes = b"", offset: int = 0) -> Path:
    """The path, once it exists and begins like its format; raises ModelFileError."""
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"{path} does not exist: convert a network to it first")
    if path.suffix != suffix:
        raise ModelFileError(f"{path} is not a {suffix} file: this runtime reads only those")
    if magic:
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read(len(magic))
        if found != magic:
            raise ModelFileError(f"{path} is damaged or no {suffix} model: convert it again")
    return path


def check_precision(precision: str, known: tuple[str, ...], calibration: np.ndarray | None) -> np.ndarray | None:
    """Check the arguments of a conversion; returns the calibration tiles as float32, or None where none are needed."""
    if precision not in known:
        raise ValueError(f"precision must be one of {', '.join(known)}, not {precision!r}")
    if precision != "int8":
        return None
    if calibration is None:
        raise ValueError(
            "int8 needs calibration tiles (uint8 (N, 1, 96, 96), some hundreds, like those of the line): "
            "they show the converter how large each activation gets"
        )
    return checked(calibration)


def check_threads(threads: int) -> int:
    """A whole number of at least 1, or ValueError."""
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
    return threads


def need(package: str, install: str, *, chatty: bool = False) -> ModuleType:
    """Import a package, or raise MissingRuntimeError with the command that installs it.

    chatty: its native libraries print while they are loaded, before any setting of theirs can be reached; mute them.
    """
    try:
        with quiet(native=chatty), uncollected():
            return importlib.import_module(package)
    except ImportError as error:
        raise MissingRuntimeError(f"{package} does not import ({error}); install it: pip install {install}") from error


def version(distribution: str) -> str:
    """Installed version of a distribution, or "unknown"."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def size_of(path: Path) -> int:
    """Bytes of a file, or of everything in a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
