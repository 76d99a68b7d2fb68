"""TensorRT without a GPU: names against the recorded binding, the plugin's arithmetic, the ONNX file it is given."""

import ast
import inspect
import re
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import onnx
import pytest
import torch

from cvprod import surface
from cvprod.runtimes import MissingRuntimeError, ModelFileError, UnsupportedPlatformError, onnxruntime, tensorrt

RECORD = {
    line for line in (Path(__file__).parent / "tensorrt_11_4.txt").read_text().splitlines() if not line.startswith("#")
}
#: Which recorded class each variable of the module holds.
HOLDS = {
    "trt": "tensorrt", "trtp": "tensorrt.plugin", "builder": "Builder", "network": "INetworkDefinition",
    "parser": "OnnxParser", "config": "IBuilderConfig", "shapes": "IOptimizationProfile", "layer": "ILayer",
    "tensor": "ITensor", "old": "ITensor", "camera": "ITensor", "inspector": "EngineInspector", "_runtime": "Runtime",
    "engine": "ICudaEngine", "given": "ITensor", "context": "IExecutionContext", "BuilderFlag": "BuilderFlag",
    "MemoryPoolType": "MemoryPoolType", "ProfilingVerbosity": "ProfilingVerbosity",
    "LayerInformationFormat": "LayerInformationFormat",
}  # fmt: skip


def names_used(source: str) -> set[str]:
    """Every attribute that the source reads from a TensorRT object, as the record writes it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
            if owner in HOLDS:
                found.add(f"{HOLDS[owner]}.{node.attr}")
    return found - {"tensorrt.__version__"}


def test_every_name_is_in_the_recorded_binding():
    used = names_used(inspect.getsource(tensorrt))
    assert len(used) > 30  # the module really is about TensorRT
    assert used <= RECORD, sorted(used - RECORD)


def test_plugin_names_in_prose_are_in_the_recorded_binding():
    chapter = Path(__file__).parents[3] / "notebooks/03_deployment_frameworks.ipynb"
    named = set(re.findall(r"tensorrt\.plugin\.\w+", inspect.getsource(tensorrt) + chapter.read_text()))
    assert "tensorrt.plugin.aot_impl" in named and named <= RECORD, sorted(named - RECORD)


def test_the_check_finds_what_release_11_removed():
    old = "config.set_flag(trt.BuilderFlag.INT8); config.int8_calibrator = trt.IInt8EntropyCalibrator2(cache)"
    missing = names_used(old) - RECORD
    assert missing == {"IBuilderConfig.int8_calibrator", "tensorrt.IInt8EntropyCalibrator2", "BuilderFlag.INT8"}
    assert names_used("config.set_flag(trt.BuilderFlag.TF32)") <= RECORD


@pytest.mark.parametrize(("source", "target"), [(224, 96), (200, 96), (96, 96), (7, 3)])
def test_area_matrix_averages(source, target):
    weights = tensorrt.area_matrix(source, target)
    assert weights.shape == (target, source) and (weights >= 0).all()
    assert np.allclose(weights.sum(1), 1, atol=1e-6)
    assert np.allclose(weights.sum(0), target / source, atol=1e-5)  # every source pixel counts alike


def test_plugin_arithmetic_is_to_input():
    camera = surface.make_set(14, 5, size=surface.TILE_SIZE).images
    wanted = np.stack([surface.to_input(tile[0]) for tile in camera])[:, None]
    made = tensorrt.area_resize(torch.from_numpy(camera)).numpy()
    assert made.dtype == np.float32 and made.shape == wanted.shape
    assert np.array_equal(made, wanted)


def test_onnx_file_for_tensorrt_is_explicit_and_symmetric(converted, network, tiles, reference, tmp_path):
    path = tmp_path / "qdq.onnx"
    onnxruntime.quantize(converted("onnxruntime"), path, tiles.images.astype(np.float32), target="tensorrt")
    graph = onnx.load(path).graph
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) >= 2 * 2 * 3  # two ends of the three layers that have weights, a pair each
    assert all((constants[node.input[2]] == 0).all() for node in pairs)
    assert all(constants[node.input[2]].dtype == np.int8 for node in pairs)  # no int32 bias behind a DequantizeLinear
    # As written: fused, a CPU without INT8 dot products would saturate on its 8-bit weights.
    logits = onnxruntime.load(path, optimise="disable")(tiles.images)
    assert np.abs(logits - reference).max() <= 0.1 * np.abs(reference).max()


def test_trtexec_names_the_input_and_the_whole_profile():
    command = tensorrt.trtexec("a.onnx", "a.plan", profile=(1, 4, 16))
    wanted = "--onnx=a.onnx --minShapes=tiles:1x1x96x96 --optShapes=tiles:4x1x96x96 --maxShapes=tiles:16x1x96x96"
    assert set(wanted.split()) <= set(command.split())
    assert "--int8" not in command and "--fp16" not in command  # removed in release 11


@pytest.mark.parametrize("wanted", [False, True])
def test_float32_is_no_tf32_unless_asked(wanted, converted, tmp_path, monkeypatch):
    trt, built_with = MagicMock(), []
    builder, flags = trt.Builder.return_value, {trt.BuilderFlag.TF32}  # what TensorRT sets by itself
    config = builder.create_builder_config.return_value
    builder.create_network.return_value.get_input.return_value.shape = (-1, 1, 96, 96)
    config.clear_flag.side_effect = flags.discard

    def build(network, given):
        built_with.append((given, set(flags)))
        return b"plan"

    builder.build_serialized_network.side_effect = build
    monkeypatch.setattr(tensorrt, "_tensorrt", lambda: trt)
    options = {"tf32": True} if wanted else {}
    plan = tensorrt.build(converted("onnxruntime"), tmp_path / "x", **options)
    assert plan.read_bytes() == b"plan"
    assert built_with == [(config, {trt.BuilderFlag.TF32} if wanted else set())]
    assert "--noTF32" in tensorrt.trtexec("a.onnx", "a.plan").split()


@pytest.mark.parametrize(
    ("precision", "module", "option"),
    [
        ("fp16", "modelopt.onnx.autocast", "--keep_io_types"),
        ("int8", "modelopt.onnx.quantization", "--quantize_mode=int8"),
    ],
)
def test_model_optimizer_gets_an_environment_and_enough_pictures(
    precision, module, option, converted, tiles, tmp_path, monkeypatch
):
    seen = []

    def run(command, **how):
        seen.append(command)
        data = [word.split("=")[1] for word in command if word.startswith("--calibration_data=")]
        seen.append(np.load(data[0]).shape if data else None)
        (tmp_path / "out.onnx").write_bytes(b"onnx")
        return MagicMock(returncode=0, stderr="")

    monkeypatch.setattr(tensorrt.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(tensorrt.subprocess, "run", run)
    many = np.repeat(tiles.images, 18, 0)
    made = tensorrt.model_optimizer(converted("onnxruntime"), tmp_path / "out", precision=precision, calibration=many)
    command, shape = seen
    assert made == tmp_path / "out.onnx" and command[0] == "/bin/uv" and "--isolated" in command
    assert command[command.index("-m") + 1] == module and option in command
    assert shape == (None if precision == "fp16" else many.shape)
    monkeypatch.setattr(tensorrt.subprocess, "run", lambda *_, **__: MagicMock(returncode=1, stderr="no GPU"))
    with pytest.raises(ModelFileError, match="no GPU"):
        tensorrt.model_optimizer(converted("onnxruntime"), tmp_path / "x", precision=precision, calibration=many)


def test_model_optimizer_refuses_too_few_pictures_and_other_types(converted, tiles, tmp_path):
    with pytest.raises(ValueError, match="at least 500"):
        tensorrt.model_optimizer(converted("onnxruntime"), tmp_path / "x", precision="int8", calibration=tiles.images)
    with pytest.raises(ValueError, match="fp16, int8"):
        tensorrt.model_optimizer(converted("onnxruntime"), tmp_path / "x", precision="int4")


def test_without_tensorrt_or_gpu_it_says_what_to_do(converted, tmp_path):
    with pytest.raises((MissingRuntimeError, UnsupportedPlatformError), match=r"pip install tensorrt|GPU"):
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        tensorrt.build(converted("onnxruntime"), tmp_path / "x.plan")
