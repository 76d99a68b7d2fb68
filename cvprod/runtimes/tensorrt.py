"""TensorRT 11: an engine compiled for one kind of NVIDIA GPU from an ONNX file.

Since TensorRT 11 every network is strongly typed: an operation runs in the type that the ONNX file says, and INT8 means
QuantizeLinear/DequantizeLinear pairs in that file. The builder flags FP16 and INT8 and the calibrators that went with
them are gone. One freedom is left: float32 products may be computed in TF32 (see `build`). Names here are checked
against the binding of release 11.4 (tests/cvprod/runtimes).

Not `from __future__ import annotations`: the plugin decorators read annotations as types, not as strings.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cvprod.runtimes import onnxruntime
from cvprod.runtimes.interface import (
    INPUT,
    Description,
    InputError,
    MissingRuntimeError,
    ModelFileError,
    Runtime,
    UnsupportedPlatformError,
    check_file,
    check_precision,
    check_threads,
    need,
    size_of,
    version,
)
from cvprod.surface import INPUT_SIZE, TILE_SIZE

NAME = "TensorRT"
SUFFIX = ".plan"
PRECISIONS = ("fp32", "int8")
INSTALL = "tensorrt"
CAMERA_NAME = "camera"
INPUT_NAME, OUTPUT_NAME = onnxruntime.INPUT_NAME, onnxruntime.OUTPUT_NAME
#: Batches that an engine accepts, and the one that it is tuned for.
PROFILE = (1, 8, 32)


def convert(
    model: torch.nn.Module,
    path: str | Path,
    *,
    precision: str = "fp32",
    calibration: np.ndarray | None = None,
    example: torch.Tensor | None = None,
    profile: tuple[int, int, int] = PROFILE,
) -> Path:
    """Export `model` to ONNX beside `path`, build an engine from it for this machine's GPU; return the .plan path.

    example: an input of another shape than the book's tiles.
    """
    data = check_precision(precision, PRECISIONS, calibration, example)
    path = Path(path).with_suffix(SUFFIX)
    graph = onnxruntime.convert(model, path, example=example)
    if data is not None:
        onnxruntime.quantize(graph, graph, data, target="tensorrt")
    return build(graph, path, profile=profile)


def build(
    graph: str | Path,
    path: str | Path,
    *,
    profile: tuple[int, int, int] = PROFILE,
    camera: bool = False,
    tf32: bool = False,
    workspace_mib: int = 512,
) -> Path:
    """Build an engine from an .onnx file and return the .plan path.

    profile: smallest, usual and largest batch; the builder tunes for the usual one and accepts the others.
    camera: take uint8 camera tiles (N, 1, 224, 224) and resize them inside the engine, by the plugin below.
    tf32: let float32 products round their factors to TF32's ten bits, as TensorRT does by itself on GPUs that can.
    """
    graph, path = check_file(graph, suffix=".onnx"), Path(path).with_suffix(SUFFIX)
    trt = _tensorrt()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network()  # strongly typed: TensorRT 11 has no other kind
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ModelFileError(f"{graph}: TensorRT cannot read it ({errors})")
    given = network.get_input(0)
    name, (batch, *shape) = given.name, given.shape
    if camera:
        name, shape = add_camera_input(network), (1, TILE_SIZE, TILE_SIZE)
    config = builder.create_builder_config()
    if not tf32:
        config.clear_flag(trt.BuilderFlag.TF32)  # set by default, and "fp32" would not be float32
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector can then name every layer's type
    if camera or batch == -1:  # a file of a fixed batch needs no profile, and bears none
        shapes = builder.create_optimization_profile()
        shapes.set_shape(name, *((size, *shape) for size in profile))
        config.add_optimization_profile(shapes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelFileError(f"{graph}: TensorRT built no engine; its log above says which layer failed")
    path.write_bytes(plan)
    return path


def model_optimizer(
    graph: str | Path, path: str | Path, *, precision: str, calibration: np.ndarray | None = None
) -> Path:
    """Write a float32 .onnx file anew for `build`, by NVIDIA's Model Optimizer; return the new file's path.

    precision: "fp16" keeps in float32 what float16 would spoil, and the file's ends; "int8" writes Q/DQ pairs, with
    float16 between them. calibration: at least 500 examples in the shape and type of the file's input, for int8: its
    entropy method fits histograms, which few pictures leave empty.

    It runs in an environment of its own, made by uv. Raises ValueError, MissingRuntimeError without uv, and
    ModelFileError where Model Optimizer fails.
    """  # fmt: skip
    graph, path = check_file(graph, suffix=".onnx"), Path(path).with_suffix(".onnx")
    if precision not in _OPTIMIZER:
        raise ValueError(f"precision must be one of {', '.join(_OPTIMIZER)}, not {precision!r}")
    if precision == "int8" and (calibration is None or len(calibration) < CALIBRATION):
        given = 0 if calibration is None else len(calibration)
        raise ValueError(f"int8 needs at least {CALIBRATION} calibration examples like those of the line, not {given}")
    if (uv := shutil.which("uv")) is None:
        raise MissingRuntimeError("uv, which makes Model Optimizer's environment, is not there: pip install uv")
    with tempfile.TemporaryDirectory() as folder:
        module, *options = _OPTIMIZER[precision]
        if precision == "int8":
            data = Path(folder) / "calibration.npy"
            np.save(data, calibration.astype(np.float32))
            options += [f"--calibration_data={data}"]
        tool = [uv, "run", "--no-project", "--isolated", "--with", MODEL_OPTIMIZER, "python", "-m", module]
        command = [*tool, f"--onnx_path={graph}", f"--output_path={path}", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        words = " ".join(done.stderr.split())[-300:]
        raise ModelFileError(f"{graph}: Model Optimizer wrote no {precision} file ({words})")
    return path


#: Its pins clash with those of the other converters, so it is no dependency of this package.
MODEL_OPTIMIZER = "nvidia-modelopt[onnx]==0.47.0"
CALIBRATION = 500
_OPTIMIZER = {
    "fp16": ("modelopt.onnx.autocast", "--low_precision_type=fp16", "--keep_io_types"),
    "int8": ("modelopt.onnx.quantization", "--quantize_mode=int8", "--calibration_method=entropy"),
}


def trtexec(graph: str | Path, path: str | Path, *, profile: tuple[int, int, int] = PROFILE) -> str:
    """The shell command that builds the same engine."""
    size = "x".join(map(str, INPUT))
    low, usual, high = (f"{INPUT_NAME}:{batch}x{size}" for batch in profile)
    flags = f"--minShapes={low} --optShapes={usual} --maxShapes={high} --profilingVerbosity=detailed"
    return f"trtexec --onnx={graph} --saveEngine={path} {flags} --memPoolSize=workspace:512M --noTF32"


# --- the plugin: a layer of our own -----------------------------------------------------------------------------


def area_matrix(source: int, target: int) -> np.ndarray:
    """Weights (target, source), float32, of area averaging along one axis; every row sums to 1.

    Output pixel i is the mean of the source interval [i*r, (i+1)*r), r = source/target, edge pixels counted in part:
    what OpenCV calls INTER_AREA.
    """
    ratio = source / target
    left, right = np.arange(target)[:, None] * ratio, (np.arange(target)[:, None] + 1) * ratio
    pixel = np.arange(source)[None]
    return (np.clip(np.minimum(right, pixel + 1) - np.maximum(left, pixel), 0, None) / ratio).astype(np.float32)


def area_resize(tiles: torch.Tensor, size: int = INPUT_SIZE) -> torch.Tensor:
    """Camera tiles uint8 (N, 1, H, W) to network input float32 (N, 1, size, size), whole grey levels.

    Two matrix products on whatever device the tiles are on: `cvprod.surface.to_input`, which training used, on a GPU.
    """
    rows = torch.from_numpy(area_matrix(tiles.shape[2], size)).to(tiles.device)
    columns = torch.from_numpy(area_matrix(tiles.shape[3], size)).to(tiles.device)
    return (rows @ tiles.float() @ columns.T).round()


PLUGIN = "steel::area_resize"


def register_plugin():
    """Register the plugin steel::area_resize once in this process and return the function that adds it to a network.

    TensorRT's resize layer knows nearest, linear and cubic, none of which is the area averaging that the network was
    trained with. This is the smallest example of a plugin, not the only way: a Cast, two MatMul and a Round in the ONNX
    file do the same (chapter 3). A Python plugin (TensorRT >= 10.6) is a description and an implementation; TensorRT
    wraps both in its IPluginV3 interface. The engine calls `impl` back and so needs this Python process; a kernel given
    to `tensorrt.plugin.aot_impl` is built into the engine, which then runs in trtexec or a C++ server too.
    """
    trt, trtp = _tensorrt(), need("tensorrt.plugin", INSTALL)
    namespace = getattr(trtp.op, "steel", None)
    if namespace is not None:
        return namespace.area_resize

    @trtp.register(PLUGIN)
    def describe_area_resize(tiles: trtp.TensorDesc, size: int) -> trtp.TensorDesc:
        out = tiles.like()
        out.dtype = trt.float32
        out.shape_expr[2], out.shape_expr[3] = size, size
        return out

    @trtp.impl(PLUGIN)
    def run_area_resize(tiles: trtp.Tensor, size: int, outputs: tuple[trtp.Tensor], stream: int) -> None:
        with torch.cuda.stream(torch.cuda.ExternalStream(stream)):
            source = torch.as_tensor(tiles, device="cuda")
            torch.as_tensor(outputs[0], device="cuda").copy_(area_resize(source, size))

    return trtp.op.steel.area_resize


def add_camera_input(network) -> str:
    """Put the plugin in front of a parsed network; returns the name of the new uint8 input (N, 1, 224, 224)."""
    trt, area = _tensorrt(), register_plugin()
    old = network.get_input(0)
    camera = network.add_input(CAMERA_NAME, trt.uint8, (-1, 1, TILE_SIZE, TILE_SIZE))
    # Bytes are for the network's ends only: no layer but a cast takes them (NvInfer.h, DataType::kUINT8).
    grey = network.add_cast(camera, trt.float32).get_output(0)
    resized = network.add_plugin(area(grey, size=INPUT_SIZE)).get_output(0)
    for layer in (network.get_layer(i) for i in range(network.num_layers)):
        for index in range(layer.num_inputs):
            tensor = layer.get_input(index)
            if tensor is not None and tensor.name == old.name:
                layer.set_input(index, resized)
    network.remove_tensor(old)
    return camera.name


# --- serving ----------------------------------------------------------------------------------------------------


def load(path: str | Path, threads: int = 1) -> "TensorRT":
    """Load an engine. threads is recorded only: the work is on the GPU.

    Raises MissingRuntimeError, UnsupportedPlatformError without a CUDA device, ModelFileError for an engine of another
    TensorRT release or another GPU.
    """
    path = check_file(path, suffix=SUFFIX)
    check_threads(threads)
    return TensorRT(path)


def load_camera(path: str | Path) -> Callable[[np.ndarray], np.ndarray]:
    """Load an engine built with camera=True, as a function: uint8 (N, 1, 224, 224) -> float32 logits (N, 7)."""
    register_plugin()  # before the engine is read: deserialising looks the plugin up
    loaded = TensorRT(check_file(path, suffix=SUFFIX))

    def run(tiles: np.ndarray) -> np.ndarray:
        if tiles.dtype != np.uint8 or tiles.shape[1:] != (1, TILE_SIZE, TILE_SIZE):
            size = f"(N, 1, {TILE_SIZE}, {TILE_SIZE})"
            raise InputError(f"a camera engine takes uint8 {size}, got {tiles.dtype} {tiles.shape}")
        parts = np.array_split(tiles, -(-len(tiles) // loaded.batch))
        return np.concatenate([loaded._run(part)[0] for part in parts])

    return run


def _tensorrt():
    trt = need("tensorrt", INSTALL)
    if not torch.cuda.is_available():
        raise UnsupportedPlatformError(
            "TensorRT needs an NVIDIA GPU and its driver, and PyTorch sees no CUDA device here. Run these cells on "
            "a GPU machine: make hardware TAG=tensorrt"
        )
    return trt


class TensorRT(Runtime):
    """An engine with one execution context on its own CUDA stream."""

    def __init__(self, path: Path) -> None:
        trt = _tensorrt()
        self.path, self._logger = path, trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)  # must outlive the engine
        self.engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self.engine is None:
            raise ModelFileError(
                f"{path} is no engine for TensorRT {trt.__version__} on {torch.cuda.get_device_name(0)}: "
                "an engine belongs to the release and the GPU that built it, so build it here from the .onnx file"
            )
        self.context, self.stream = self.engine.create_execution_context(), torch.cuda.Stream()
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        given = [n for n in names if self.engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        if len(given) != 1:
            raise ModelFileError(f"{path} takes {len(given)} inputs ({', '.join(given)}), not one")
        self._input, self.outputs = given[0], tuple(n for n in names if n not in given)
        size, *shape = self.engine.get_tensor_shape(self._input)
        self.input, self.dtype = tuple(shape), np.dtype(trt.nptype(self.engine.get_tensor_dtype(self._input)))
        self.batch = self.engine.get_tensor_profile_shape(self._input, 0)[2][0] if size == -1 else size
        self.fixed = size != -1
        kinds = {n: np.empty(0, trt.nptype(self.engine.get_tensor_dtype(n))) for n in self.outputs}
        self._kinds = {n: torch.from_numpy(nothing).dtype for n, nothing in kinds.items()}
        self._try(path)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        with torch.cuda.stream(self.stream):
            tiles = torch.from_numpy(x).cuda(non_blocking=True)
            return [value.cpu().numpy() for value in self.infer(tiles)]  # .cpu() waits for the stream

    def infer(self, tiles: torch.Tensor) -> list[torch.Tensor]:
        """Outputs for tiles that are already on the GPU, on the current stream; nothing is copied or waited for."""
        self.context.set_input_shape(self._input, tuple(tiles.shape))
        self.context.set_tensor_address(self._input, tiles.data_ptr())
        found = []
        for name in self.outputs:
            shape = tuple(self.context.get_tensor_shape(name))
            found.append(torch.empty(shape, dtype=self._kinds[name], device="cuda"))
            self.context.set_tensor_address(name, found[-1].data_ptr())
        if not self.context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError(f"{self.path}: TensorRT refused the launch; its log says why")
        return found

    def layers(self) -> list[dict]:
        """The engine's layers after fusion, as the inspector reports them."""
        trt = need("tensorrt", INSTALL)
        inspector = self.engine.create_engine_inspector()
        return json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]

    def describe(self) -> Description:
        text = json.dumps(self.layers()).lower()
        kinds = [kind for kind, word in (("int8", "int8"), ("fp16", "half"), ("fp32", "float")) if word in text]
        gpu = torch.cuda.get_device_name(0)
        return Description(
            NAME, version("tensorrt"), "/".join(kinds), 1, self.path, size_of(self.path), self.batch, gpu
        )
