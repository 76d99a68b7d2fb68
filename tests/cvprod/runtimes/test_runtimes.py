"""Every runtime gives PyTorch's answers, says what it computes in, and refuses what it cannot do."""

import numpy as np
import pytest
import torch

from cvprod import runtimes
from cvprod.runtimes import InputError, MissingRuntimeError, ModelFileError, UnsupportedPlatformError, interface

from .conftest import PRECISIONS

CPU = ("pytorch", "onnxruntime", "openvino", "litert", "executorch")


@pytest.mark.parametrize(("name", "precision"), PRECISIONS)
def test_logits_are_those_of_pytorch(name, precision, converted, tiles, reference):
    logits = runtimes.get(name).load(converted(name, precision))(tiles.images)
    assert logits.dtype == np.float32 and logits.shape == reference.shape
    scale = np.abs(reference).max()
    tolerance = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.1}[precision]
    assert np.abs(logits - reference).max() <= tolerance * scale
    if precision == "int8":  # a float network in disguise would be closer than eight bits allow
        assert np.abs(logits - reference).max() > 1e-4 * scale
    if precision == "fp32":
        assert (logits.argmax(1) == reference.argmax(1)).all()


@pytest.mark.parametrize(("name", "precision"), PRECISIONS)
def test_describe_tells_the_precision_really_used(name, precision, converted):
    path = converted(name, precision)
    about = runtimes.get(name).load(path, threads=2).describe()
    assert about.threads == 2 and about.file == path and about.version[0].isdigit()
    assert about.size_bytes >= path.stat().st_size
    if name == "openvino" and precision == "fp16":
        assert about.precision in ("fp32", "fp16")  # weights stored so; computed in what the CPU is told or can
    else:
        assert precision in about.precision.split("/")


@pytest.mark.parametrize("name", CPU)
def test_any_batch_in_either_type_gives_the_same_rows(name, converted, tiles, reference):
    run = runtimes.get(name).load(converted(name))
    for n in (1, 2, 5):
        as_bytes, as_floats = run(tiles.images[:n]), run(tiles.images[:n].astype(np.float32))
        assert np.array_equal(as_bytes, as_floats)
        assert np.allclose(as_bytes, reference[:n], atol=1e-4 * np.abs(reference).max())


@pytest.mark.parametrize("name", CPU)
def test_results_of_one_call_survive_the_next(name, converted, tiles):
    run = runtimes.get(name).load(converted(name))
    first = run(tiles.images[:1])
    kept = first.copy()
    run(255 - tiles.images[:1])
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("name", CPU)
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (np.zeros((1, 1, 96, 96), np.float64), "float64"),
        (np.zeros((1, 96, 96), np.uint8), "shape"),
        (np.zeros((1, 3, 96, 96), np.uint8), "shape"),
        (np.zeros((1, 1, 224, 224), np.uint8), "to_input"),
        (np.zeros((0, 1, 96, 96), np.uint8), "N >= 1"),
        (np.full((1, 1, 96, 96), np.nan, np.float32), "NaN"),
        ([[0]], "NumPy array"),
    ],
)
def test_wrong_input_is_refused(name, bad, says, converted):
    with pytest.raises(InputError, match=says):
        runtimes.get(name).load(converted(name))(bad)


@pytest.mark.parametrize("name", CPU)
def test_missing_damaged_and_foreign_files_are_named(name, converted, tmp_path):
    module = runtimes.get(name)
    with pytest.raises(ModelFileError, match="does not exist"):
        module.load(tmp_path / f"nothing{module.SUFFIX}")
    with pytest.raises(ModelFileError, match="not a"):
        module.load(__file__)
    good = converted(name).read_bytes()
    for label, content in {"empty": b"", "noise": bytes(range(256)) * 8, "cut": good[: len(good) // 3]}.items():
        path = tmp_path / f"{label}{module.SUFFIX}"
        path.write_bytes(content)
        path.with_suffix(".bin").write_bytes(b"")  # OpenVINO's second file, so that the first is to blame
        with pytest.raises(ModelFileError, match="damaged"):
            module.load(path)


@pytest.mark.parametrize("name", CPU)
def test_a_network_of_another_size_and_other_classes_runs(name, tmp_path):
    torch.manual_seed(1)
    body = [torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 15 * 11, 3)]
    other, module = torch.nn.Sequential(*body).eval(), runtimes.get(name)
    run = module.load(module.convert(other, tmp_path / "other", example=torch.zeros(1, 3, 32, 24)))
    pictures = np.random.default_rng(0).random((3, 3, 32, 24), dtype=np.float32)
    with torch.no_grad():
        wanted = other(torch.from_numpy(pictures)).numpy()
    assert run.input == (3, 32, 24) and run.dtype == np.float32 and len(run.outputs) == 1
    assert np.allclose(run(pictures), wanted, atol=1e-4)
    with pytest.raises(InputError, match=r"\(N, 3, 32, 24\)"):
        run(np.zeros((1, 1, 96, 96), np.uint8))


@pytest.mark.parametrize("name", CPU)
def test_arguments_are_checked(name, network, converted, tmp_path):
    module = runtimes.get(name)
    with pytest.raises(ValueError, match="precision must be one of"):
        module.convert(network, tmp_path / "x", precision="int3")
    with pytest.raises(ValueError, match="threads"):
        module.load(converted(name), threads=0)
    if "int8" in module.PRECISIONS:
        with pytest.raises(ValueError, match="calibration"):
            module.convert(network, tmp_path / "x", precision="int8")


@pytest.mark.parametrize(
    ("name", "package"),
    [(name, name) for name in ("onnxruntime", "openvino", "executorch")] + [("litert", "ai_edge_litert")],
)
def test_a_missing_package_is_named_with_its_installation(name, package, converted, monkeypatch):
    path, real = converted(name), interface.importlib.import_module

    def without(wanted, *args):
        if wanted.split(".")[0] == package:
            raise ImportError(f"No module named {wanted!r}")
        return real(wanted, *args)

    monkeypatch.setattr(interface.importlib, "import_module", without)
    with pytest.raises(MissingRuntimeError, match="pip install"):
        runtimes.get(name).load(path)


def test_int8_files_are_small(converted):
    for name in ("litert", "executorch"):
        assert converted(name, "int8").stat().st_size < converted(name).stat().st_size


def test_litert_with_integer_ends_answers_as_with_float_ones(network, tiles, converted, tmp_path):
    from cvprod.edge import engine

    litert, how = runtimes.get("litert"), {"precision": "int8", "calibration": tiles.images}
    path = litert.convert(network, tmp_path / "ends", integer_ends=True, **how)
    with pytest.raises(ModelFileError, match="takes int8"):
        litert.load(path)
    wanted = litert.load(converted("litert", "int8"))(tiles.images)
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    ends = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert [end["dtype"] for end in ends] == [np.int8, np.int8]
    step = ends[1]["quantization"][0]  # of the output: no integer end can be finer than that
    assert np.abs(engine.open_model(path)(tiles.images) - wanted).max() <= 1.01 * step


def test_unknown_runtime_lists_the_known_ones():
    with pytest.raises(ValueError, match="litert"):
        runtimes.get("caffe")


def test_openvino_reads_onnx_and_misses_its_weights_by_name(converted, tiles, reference, tmp_path):
    openvino = runtimes.get("openvino")
    logits = openvino.load(converted("onnxruntime"))(tiles.images)
    assert np.allclose(logits, reference, atol=1e-4 * np.abs(reference).max())
    lonely = tmp_path / "lonely.xml"
    lonely.write_bytes(converted("openvino").read_bytes())
    with pytest.raises(ModelFileError, match=r"lonely\.bin"):
        openvino.load(lonely)


def test_onnx_provider_that_is_not_there_is_an_error_not_a_fallback(converted):
    with pytest.raises(UnsupportedPlatformError, match="CPUExecutionProvider"):
        runtimes.get("onnxruntime").load(converted("onnxruntime"), providers=["TensorrtExecutionProvider"])


def test_executorch_programs_with_different_threads_live_side_by_side(converted, tiles):
    executorch = runtimes.get("executorch")
    one, two = executorch.load(converted("executorch"), 1), executorch.load(converted("executorch"), 2)
    assert np.allclose(one(tiles.images[:3]), two(tiles.images[:3]), atol=1e-4)
    assert (one.describe().threads, two.describe().threads) == (1, 2)


def test_pytorch_puts_the_callers_threads_back(network, tiles):
    before = torch.get_num_threads()
    runtimes.get("pytorch").wrap(network, threads=2)(tiles.images[:1])
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("dtype", "bits"), [(torch.bfloat16, 8), (torch.float16, 11)])
def test_rounded_computes_as_hardware_of_that_type_does(dtype, bits, network, tiles, reference):
    pytorch = runtimes.get("pytorch")
    one = torch.nn.Conv2d(1, 4, 3).eval()
    given = torch.rand(2, 1, 9, 9)
    with torch.no_grad():
        exact = one.double()(given.to(dtype).double())
        copied = pytorch.rounded(one.float(), dtype)(given)
    assert (copied.to(dtype).float() == copied).all()  # what comes out is a number of that type
    assert (copied - exact).abs().max() <= 4 * exact.abs().max() / 2**bits
    logits = pytorch.wrap(pytorch.rounded(network, dtype))(tiles.images)
    off = np.abs(logits - reference).max() / np.abs(reference).max()
    assert 2.0 ** -(bits + 7) < off < 16 * 2.0**-bits
    assert np.array_equal(pytorch.wrap(network)(tiles.images), reference)  # the original is left alone
