"""Core ML: Apple's model format (.mlpackage) and the runtime inside macOS, iOS and iPadOS.

Conversion and inspection work on Linux; prediction needs macOS, where CPU, GPU or Neural Engine is chosen by Core ML.
INT8: coremltools.optimize compresses the weights (8 bits a channel); activations stay float16.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from cvprod.models.own import output_names
from cvprod.optimize.fuse import recordable
from cvprod.quiet import uncollected
from cvprod.runtimes.interface import (
    Description,
    ModelFileError,
    Runtime,
    UnsupportedPlatformError,
    check_file,
    check_precision,
    check_threads,
    example_of,
    need,
    quiet,
    size_of,
    version,
)

NAME = "Core ML"
SUFFIX = ".mlpackage"
PRECISIONS = ("fp16", "fp32", "int8")
INSTALL = "coremltools"
INPUT_NAME = "tiles"
#: Largest batch that a converted package takes in one call.
BATCH = 64


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp16",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
    batch: int | None = BATCH,
    image: bool = False,
) -> Path:
    """Write `model` as an ML program for iOS 17 / macOS 14 or newer and return the package's path.

    example: an input of another shape than the book's tiles. batch: the largest that one call takes; 1 fixes the shape,
    without which the Neural Engine is only there for the default one.
    image: take a grey picture, one at a time, in place of numbers: apps then hand over a picture buffer.
    fp16 is Core ML's default and what the Neural Engine computes in. int8 compresses weights and needs no calibration.
    """
    check_precision(precision if precision != "int8" else "fp16", PRECISIONS, calibration)
    one = example_of(example)
    path = Path(path).with_suffix(SUFFIX)
    ct = need("coremltools", INSTALL, chatty=True)
    with quiet(native=True), uncollected(), torch.no_grad():
        traced = torch.jit.trace(recordable(model, one), one)
        if image:
            taken = ct.ImageType(INPUT_NAME, tuple(one.shape), color_layout=ct.colorlayout.GRAYSCALE)
        else:
            shape = ct.Shape((1 if batch == 1 else ct.RangeDim(1, batch, default=1), *one.shape[1:]))
            taken = ct.TensorType(INPUT_NAME, shape, dtype=np.float32)
        package = ct.convert(
            traced,
            inputs=[taken],
            outputs=[ct.TensorType(name, dtype=np.float32) for name in output_names(model.eval(), one)],
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16,
            skip_model_load=True,
        )
        if precision == "int8":
            from coremltools.optimize import coreml as cto

            weights = cto.OpLinearQuantizerConfig(
                mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=512
            )
            package = cto.linear_quantize_weights(package, cto.OptimizationConfig(global_config=weights))
        package.save(str(path))
    return path


def inspect(path: str | Path) -> dict:
    """What a package holds, on any system: input and output with shape and type, operations counted, size in bytes.

    Raises ModelFileError for what is no package.
    """
    path = _check(path)
    ct = need("coremltools", INSTALL, chatty=True)
    try:
        with quiet(native=True):
            spec = ct.models.MLModel(str(path), skip_model_load=True).get_spec()
            program = spec.mlProgram.functions["main"]
    except Exception as error:  # protobuf and file errors alike mean that the package cannot be read
        raise ModelFileError(f"{path} is damaged or no Core ML package: convert it again ({error})") from error
    block = program.block_specializations[program.opset]
    return {
        "input": _features(spec.description.input),
        "output": _features(spec.description.output),
        "deployment target": program.opset.replace("CoreML", "opset "),
        "operations": dict(Counter(operation.type for operation in block.operations).most_common()),
        "precision": _precision(block),
        "bytes": size_of(path),
    }


def _check(path: str | Path) -> Path:
    path = check_file(path, suffix=SUFFIX)
    if not (path / "Manifest.json").exists():
        raise ModelFileError(f"{path} is damaged or no Core ML package: it has no Manifest.json")
    return path


def _features(features) -> str:
    return ", ".join(f"{f.name} {_kind(f.type)}" for f in features)


def _kind(kind) -> str:
    if kind.WhichOneof("Type") == "imageType":
        image = kind.imageType
        return f"{image.ColorSpace.Name(image.colorSpace)} picture {image.width}x{image.height}"
    array = kind.multiArrayType
    return f"{array.ArrayDataType.Name(array.dataType)} {list(array.shape)}"


def _precision(block) -> str:
    """Type of the convolutions' results, with "int8 weights" where constants are stored so."""
    kinds = {0: "", 10: "fp16", 11: "fp32"}
    found = {
        kinds.get(operation.outputs[0].type.tensorType.dataType, "other")
        for operation in block.operations
        if operation.type == "conv"
    }
    compressed = any(operation.type.startswith("constexpr") for operation in block.operations)
    return "/".join(sorted(found)) + (", int8 weights" if compressed else "")


def load(path: str | Path, threads: int = 1, *, units: str = "ALL") -> CoreML:
    """Load a package for prediction, on macOS.

    threads is recorded only: Core ML manages its own. units: ALL, CPU_ONLY, CPU_AND_GPU or CPU_AND_NE.

    Raises UnsupportedPlatformError elsewhere: `inspect` is what works there.
    """
    path = _check(path)
    check_threads(threads)
    if sys.platform != "darwin":
        raise UnsupportedPlatformError(
            "Core ML predicts on macOS, iOS and iPadOS only. Here, cvprod.runtimes.coreml.inspect() reads the package; "
            "copy it to a Mac (python -m cvprod.bench runtimes) or into the app under deploy/mobile/ios"
        )
    return CoreML(path, units)


class CoreML(Runtime):
    """An MLModel; batches up to what its package takes at once."""

    def __init__(self, path: Path, units: str) -> None:
        ct = need("coremltools", INSTALL, chatty=True)
        self.path, self.units = path, units
        self.model = ct.models.MLModel(str(path), compute_units=getattr(ct.ComputeUnit, units))
        spec = self.model.get_spec().description
        given = spec.input[0].type.multiArrayType
        self._input, self.input = spec.input[0].name, tuple(given.shape)[1:]
        ranges = given.shapeRange.sizeRanges
        self.batch, self.fixed = (ranges[0].upperBound, False) if ranges else (given.shape[0], True)
        self.outputs = tuple(output.name for output in spec.output)
        self._try(path)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        answer = self.model.predict({self._input: x})
        return [np.asarray(answer[name]) for name in self.outputs]

    def describe(self) -> Description:
        return Description(
            NAME,
            version("coremltools"),
            inspect(self.path)["precision"],
            1,
            self.path,
            size_of(self.path),
            self.batch,
            f"compute units {self.units}",
        )
