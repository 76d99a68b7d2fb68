"""LiteRT, TensorFlow Lite's name since 2024: a .tflite flatbuffer and an interpreter of a few megabytes.

Conversion: litert-torch; INT8: ai-edge-quantizer (static, per-channel weights, int8 activations; float32 input
and output, or integers there too). Serving: ai-edge-litert, with its XNNPACK delegate on CPUs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cvprod.optimize.fuse import recordable
from cvprod.quiet import uncollected
from cvprod.runtimes.interface import (
    Description,
    ModelFileError,
    Runtime,
    check_file,
    check_precision,
    check_threads,
    checked,
    example_of,
    need,
    quiet,
    size_of,
    static,
    version,
)

NAME = "LiteRT"
SUFFIX = ".tflite"
PRECISIONS = ("fp32", "int8")
INSTALL = "ai-edge-litert"
INSTALL_CONVERTER = "litert-torch ai-edge-quantizer"


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
    integer_ends: bool = False,
) -> Path:
    """Write `model` as a .tflite file of batch 1 and return its path.

    example: an input of another shape than the book's tiles. integer_ends: with int8, as in `quantize`.

    The batch is fixed: litert-torch 0.10 lowers a network with a symbolic batch only if no constant is broadcast to it.
    """
    data, one = check_precision(precision, PRECISIONS, calibration, example), example_of(example)
    path = Path(path).with_suffix(SUFFIX)
    litert_torch = need("litert_torch", INSTALL_CONVERTER, chatty=True)
    # In a notebook its progress goes through IPython's display, which no redirection of streams can mute.
    need("litert_torch._config", INSTALL_CONVERTER).config.show_progress = False
    with quiet(native=True), uncollected():
        edge = litert_torch.convert(recordable(model, one), (one,))
        edge.export(str(path))
    if data is not None:
        quantize(path, path, data, integer_ends=integer_ends)
    return path


def quantize(source: Path, target: Path, calibration: np.ndarray, *, integer_ends: bool = False) -> Path:
    """Make a static INT8 file from a float one: calibration is uint8 or float32 (N, *the file's input).

    Ranges are the smallest and largest value that any tile gave. The quantiser's default, a moving average over tiles,
    forgets the extremes: the brightest tiles of a line would be clipped.

    integer_ends: int8 input and output as well, as accelerators without floating point want it; callers then need the
    scales of both (`cvprod.edge.engine` reads them from the file). Otherwise both stay float32.
    """
    quantizer = need("ai_edge_quantizer.quantizer", INSTALL_CONVERTER, chatty=True)
    recipe = need("ai_edge_quantizer.recipe", INSTALL_CONVERTER)
    calibrator = need("ai_edge_quantizer.calibrator", INSTALL_CONVERTER)
    extremes = need("ai_edge_quantizer.utils.qsv_utils", INSTALL_CONVERTER).min_max_update
    with quiet(native=True):
        job = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
        for end in () if integer_ends else ("INPUT", "OUTPUT"):  # float32, so that no caller has to know a scale
            job.update_quantization_recipe(".*", end, algorithm_key="no_quantize")
        floats = load(source)
        calibration, (signature, name) = checked(calibration, floats.input), _signature(floats)
        rules = need("ai_edge_quantizer.recipe_manager", INSTALL_CONVERTER).RecipeManager()
        rules.load_quantization_recipe(job.get_quantization_recipe())
        # One thread: the default of 16 spins on a machine with fewer cores.
        ranges = calibrator.Calibrator(str(source), num_threads=1, qsv_update_func=extremes)
        ranges.calibrate({signature: [{name: tile[None]} for tile in calibration]}, rules)
        job.quantize(ranges.get_model_qsvs()).export_model(str(target), overwrite=True)
    return target


def load(path: str | Path, threads: int = 1) -> LiteRT:
    """Load a .tflite file. Raises ModelFileError, MissingRuntimeError."""
    path = check_file(path, suffix=SUFFIX, magic=b"TFL3", offset=4)
    return LiteRT(path, check_threads(threads))


class LiteRT(Runtime):
    """An interpreter of the file's batch, usually 1; larger ones loop."""

    batch = 1

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        interpreter = need("ai_edge_litert.interpreter", INSTALL)
        try:
            with quiet(native=True):
                self.interpreter = interpreter.Interpreter(str(path), num_threads=threads)
                self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelFileError(f"{path} is damaged or no LiteRT model: convert it again ({error})") from error
        given, self._outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        if len(given) != 1 or len(given[0]["shape"]) < 2:
            raise ModelFileError(f"{path} takes {len(given)} inputs, not one with its batch")
        self._input = given[0]
        size, *shape = self._input["shape"].tolist()
        self.batch, self.fixed, self.input = size, True, static(shape, path)
        if (kind := np.dtype(self._input["dtype"]).name) != "float32":
            raise ModelFileError(f"{path} takes {kind}, not float32: cvprod.edge.engine.open_model runs such files")
        self._try(path)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        self.interpreter.set_tensor(self._input["index"], x)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(output["index"]) for output in self._outputs]

    def describe(self) -> Description:
        types = {np.dtype(t["dtype"]).name for t in self.interpreter.get_tensor_details() if len(t["shape"]) == 4}
        return Description(
            NAME,
            version("ai-edge-litert"),
            "int8" if "int8" in types else "fp32",
            self.threads,
            self.path,
            size_of(self.path),
            self.batch,
            "XNNPACK delegate",
        )


def _signature(run: LiteRT) -> tuple[str, str]:
    """Names of the signature and of its input, which calibration data are filed under."""
    signature, parts = next(iter(run.interpreter.get_signature_list().items()))
    return signature, parts["inputs"][0]
