"""What every runtime of the book looks like from outside.

A runtime is a module with two functions, kept apart because they run on different machines: `convert` needs the
framework that trained the network, `load` only the small library that serves it.

    path = convert(model, path, precision="int8", calibration=images)    # on the workstation
    run = load(path, threads=1)                                          # where the camera is
    logits = run(images)            # uint8 or float32 (N, 1, 96, 96), pixels 0..255 -> float32 (N, 7)
    run.describe().precision        # what it computes in, which is not always what was asked for

Another network is converted with an `example` of its input, and tells by its file what it takes and gives:
`run.input`, `run.dtype`, `run.outputs`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from cvprod.quiet import quiet, uncollected
from cvprod.surface import INPUT_SIZE

if TYPE_CHECKING:  # a device that only serves has no PyTorch
    import torch

#: Shape of one input of the book's networks, channel first: what a conversion takes unless it gets an example.
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
    #: Whether the file takes exactly `batch`: shorter pieces are then filled up.
    fixed: bool = False
    #: Shape of one example, and the type that the file takes.
    input: tuple[int, ...] = INPUT
    dtype: np.dtype = np.dtype(np.float32)
    #: Names of what the file gives, in order.
    outputs: tuple[str, ...] = ("logits",)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The first output for a batch: the logits of a classifier.

        Args:
            images: uint8 or the file's own type (N, *input), N >= 1; for the book's networks pixel values 0..255.

        Returns:
            float32 (N, classes).

        Raises:
            InputError: wrong type or shape, or a float batch with a NaN or infinite pixel.
        """
        return self.all(images)[0].astype(np.float32, copy=False)

    def all(self, images: np.ndarray) -> list[np.ndarray]:
        """Every output for a batch, in the order of `outputs`.

        Raises InputError also for more images than one call takes where an output has no row for each of them: what a
        detector finds in several calls cannot be told apart afterwards.
        """
        x = checked(images, self.input, self.dtype)
        size = len(x) if self.batch is None else self.batch
        parts = [self._piece(x[start : start + size]) for start in range(0, len(x), size)]
        if len(parts) == 1:
            return parts[0]
        for name, *values in zip(self.outputs, *parts, strict=True):
            if any(v.ndim == 0 or len(v) != min(size, len(x) - i * size) for i, v in enumerate(values)):
                raise InputError(f"output {name!r} has no row for each image, so give it {size} at a time")
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _piece(self, x: np.ndarray) -> list[np.ndarray]:
        n = len(x)
        if self.fixed and n < self.batch:
            x = np.concatenate([x, np.repeat(x[-1:], self.batch - n, 0)])
            return [v[:n] if v.ndim and len(v) == self.batch else v for v in self._run(x)]
        return list(self._run(x))

    def _try(self, path: Path | None) -> None:
        """One call on zeros, or ModelFileError: a file that loads may still not run on what it says that it takes."""
        size = self.batch if self.fixed else 1
        try:
            given = list(self._run(np.zeros((size, *self.input), self.dtype)))
        except Exception as error:  # every runtime has its own classes for this
            shape = ", ".join(map(str, self.input))
            words = " ".join(str(error).split())[-300:]
            raise ModelFileError(f"{path} is damaged or does not take ({size}, {shape}): {words}") from error
        if len(self.outputs) != len(given):
            self.outputs = tuple(f"output {i}" for i in range(len(given)))

    @abstractmethod
    def _run(self, x: np.ndarray) -> Sequence[np.ndarray]:
        """Contiguous (n, *input) in the file's type, n <= `batch` -> every output."""

    @abstractmethod
    def describe(self) -> Description:
        """What the loaded model is: library, version, real precision, threads, file."""


def checked(images: np.ndarray, shape: tuple[int, ...] = INPUT, dtype: np.dtype | type = np.float32) -> np.ndarray:
    """The batch (N, *shape), contiguous and in the file's type, or InputError: the one check in front of every runtime.

    Bytes become any type. Floats become bytes for no one: whether they are 0..1 or 0..255 nobody knows.
    """
    dtype = np.dtype(dtype)
    if not isinstance(images, np.ndarray):
        raise InputError(f"expected a NumPy array, got {type(images).__name__}: convert it with np.asarray first")
    if images.dtype not in (np.dtype(np.uint8), dtype) or (images.dtype == np.uint8 and dtype == np.int8):
        kinds = "uint8 or float32 pixels (0..255)" if dtype == np.float32 else f"pixels as {dtype.name}"
        raise InputError(f"expected {kinds}, got {images.dtype}: use .astype(np.{dtype.name})")
    if images.ndim != len(shape) + 1 or images.shape[1:] != shape or not len(images):
        remedy = ": cvprod.surface.to_input makes a network input from a camera tile" if shape == INPUT else ""
        raise InputError(f"expected shape (N, {', '.join(map(str, shape))}) with N >= 1, got {images.shape}{remedy}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise InputError("the batch holds a NaN or infinite pixel: look at the step before this one")
    return np.ascontiguousarray(images, dtype=dtype)


def example_of(example: torch.Tensor | np.ndarray | None) -> torch.Tensor:
    """One input with its batch of 1, for a conversion: zeros in the shape and type of `example`, or the book's tile.

    Raises ValueError for what has no batch.
    """
    import torch

    if example is None:
        return torch.zeros(1, *INPUT)
    example = torch.as_tensor(example)
    if example.ndim < 2:
        raise ValueError(f"an example is one input with its batch, like (1, 3, 224, 224), not {tuple(example.shape)}")
    return torch.zeros_like(example[:1])


def static(shape: Sequence, path: Path) -> tuple[int, ...]:
    """A file's shape of one example, or ModelFileError where the file leaves a side open."""
    if not all(isinstance(side, int) and side > 0 for side in shape):
        sides = ", ".join("?" if not isinstance(side, int) or side < 1 else str(side) for side in shape)
        raise ModelFileError(f"{path} leaves its input open (N, {sides}): load it with input=, like (3, 224, 224)")
    return tuple(shape)


def check_file(path: str | Path, *, suffix: str, magic: bytes = b"", offset: int = 0) -> Path:
    """The path, once it exists and begins like its format; raises ModelFileError."""
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"{path} does not exist: convert a network to it first")
    if path.suffix.lower() != suffix:
        raise ModelFileError(f"{path} is not a {suffix} file: this runtime reads only those")
    if magic:
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read(len(magic))
        if found != magic:
            raise ModelFileError(f"{path} is damaged or no {suffix} model: convert it again")
    return path


def check_precision(
    precision: str, known: tuple[str, ...], calibration: np.ndarray | None, example: torch.Tensor | None = None
) -> np.ndarray | None:
    """Check the arguments of a conversion; returns the calibration examples, or None where none are needed."""
    if precision not in known:
        raise ValueError(f"precision must be one of {', '.join(known)}, not {precision!r}")
    if precision != "int8":
        return None
    one = example_of(example)
    shape = tuple(one.shape[1:])
    if calibration is None:
        raise ValueError(
            f"int8 needs calibration examples (N, {', '.join(map(str, shape))}), some hundreds, like those of the "
            "line: they show the converter how large each activation gets"
        )
    return checked(calibration, shape, one.numpy().dtype)


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
