"""The Triton configurations parse strictly and say what the files say; steel_python answers in the real server."""

import ast
import importlib.util
import os
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from cvprod.bench import serving
from cvprod.runtimes import onnxruntime, tensorrt
from cvprod.serving import images
from cvprod.serving.model import Model, read
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import peers
from cvprod.surface import CLASSES, INPUT_SIZE, make_set
from cvprod.traffic import hostile

from .. import textproto

REPOSITORY = Path(__file__).resolve().parents[3] / "deploy/triton/model_repository"
MODELS = [REPOSITORY / name for name in ("steel_onnx", "steel_tensorrt")]

#: The part of Triton's model_config.proto that these files use.
SCHEMA = {
    "Config": "name:str backend:str max_batch_size:int input:*Tensor output:*Tensor instance_group:*Group "
    "parameters:*Parameter dynamic_batching:Batching optimization:Optimization model_warmup:*Warmup",
    "Tensor": "name:str data_type:enum dims:*int label_filename:str",
    "Group": "name:str kind:enum count:int gpus:*int profile:*str",
    "Parameter": "key:str value:Value",
    "Value": "string_value:str",
    "Batching": "preferred_batch_size:*int max_queue_delay_microseconds:int",
    "Optimization": "cuda:Cuda",
    "Cuda": "graphs:bool graph_spec:*Spec",
    "Spec": "batch_size:int",
    "Warmup": "name:str batch_size:int inputs:*Sample",
    "Sample": "key:str value:Zeros",
    "Zeros": "data_type:enum dims:*int zero_data:bool",
}
ENUM = ("NONE", "TYPE_FP32", "TYPE_UINT8", "TYPE_STRING", "KIND_CPU", "KIND_GPU")


@pytest.fixture(scope="module")
def config_class():
    return textproto.classes(SCHEMA, ENUM)["Config"]


def test_the_check_refuses_a_misspelt_field(config_class):
    with pytest.raises(text_format.ParseError, match="max_batchsize"):
        text_format.Parse('name: "x" max_batchsize: 3', config_class())


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_configuration_is_what_the_files_are(folder, config_class):
    config = text_format.Parse((folder / "config.pbtxt").read_text(), config_class())
    assert config.name == folder.name
    assert [(t.name, list(t.dims)) for t in config.input] == [(onnxruntime.INPUT_NAME, [1, INPUT_SIZE, INPUT_SIZE])]
    assert [(t.name, list(t.dims)) for t in config.output] == [(onnxruntime.OUTPUT_NAME, [len(CLASSES)])]
    labels = (folder / config.output[0].label_filename).read_text().split()
    assert tuple(labels) == CLASSES
    assert all(size <= config.max_batch_size for size in config.dynamic_batching.preferred_batch_size)


def test_the_engine_takes_the_batches_that_triton_may_send(config_class):
    path = REPOSITORY / "steel_tensorrt/config.pbtxt"
    config = text_format.Parse(path.read_text(), config_class())
    low, usual, high = tensorrt.PROFILE
    assert low == 1 and config.max_batch_size <= high and usual in config.dynamic_batching.preferred_batch_size
    built = [part for part in tensorrt.trtexec("a", "b").split() if "Shapes=" in part]
    assert len(built) == 3 and all(part in path.read_text() for part in built)


# --- steel_python: JPEG in, label out ----------------------------------------------------------------------

JPEGS = [hostile.encode(tile, "JPEG", quality=90) for tile in make_set(24, seed=12, size=224).images[:, 0]]
FRAME = JPEGS[0].index(b"\xff\xc0")
BAD = {
    "not a picture": b"garbage",
    "empty": b"",
    "cut in the header": JPEGS[0][:200],
    "cut in the picture": JPEGS[0][:-300],
    # The header promises 65000 x 65000 pixels: decoded, it would cost 4 GB and ten seconds of one of two instances.
    "giant": JPEGS[0][: FRAME + 5] + struct.pack(">HH", 65000, 65000) + JPEGS[0][FRAME + 9 :],
    "too small": hostile.encode(hostile.GREY.resize((50, 50)), "JPEG"),
    "oversize": JPEGS[0] + b"\0" * 2**20,
}


@pytest.fixture(scope="module")
def network():
    """Path of the shipped model's ONNX file."""
    return DEFAULT_MODEL.parent / read(DEFAULT_MODEL)[0].file


@pytest.fixture(scope="module")
def expected():
    """Labels, and the plain softmax of the logits: the repository knows no temperature."""
    runtime = Model.load(DEFAULT_MODEL)
    logits = runtime.run(np.stack([images.to_tile(jpeg) for jpeg in JPEGS])[:, None])
    odds = np.exp(logits - logits.max(1, keepdims=True))
    labels = [runtime.card.classes[i] for i in odds.argmax(1)]
    assert len(set(labels)) >= 5
    return labels, odds.max(1) / odds.sum(1)


class Stub(types.ModuleType):
    """As much of triton_python_backend_utils as model.py uses; a request is its array."""

    class Tensor:
        def __init__(self, name, values):
            self.name, self.values = name, values

        def as_numpy(self):
            return self.values

    class InferenceResponse:
        def __init__(self, tensors=(), error=None):
            self.found, self.error = {tensor.name: tensor.values for tensor in tensors}, error

    class TritonError:
        INVALID_ARG = 3

        def __init__(self, message, code):
            self.message, self.code = message, code

    @classmethod
    def get_input_tensor_by_name(cls, request, name):
        assert name == "jpeg"
        return cls.Tensor(name, request)


@pytest.fixture
def backend(network, monkeypatch, tmp_path):
    """model.py, with a stub for the server's module and the network where the repository has it."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/model.onnx").symlink_to(network.resolve())
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", Stub("triton_python_backend_utils"))
    monkeypatch.delenv("PEER_MODEL", raising=False)
    spec = importlib.util.spec_from_file_location("steel_python", REPOSITORY / "steel_python/1/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.TritonPythonModel()
    made.initialize({"model_repository": str(tmp_path), "model_version": "1"})
    return made


def column(batch):
    """Files as a BYTES tensor (n, 1)."""
    return np.array(batch, dtype=object)[:, None]


def test_the_python_model_and_its_configuration_agree(config_class):
    config = text_format.Parse((REPOSITORY / "steel_python/config.pbtxt").read_text(), config_class())
    assert (config.name, config.backend, config.max_batch_size) == ("steel_python", "python", 8)
    named = {n.value for n in ast.walk(ast.parse((REPOSITORY / "steel_python/1/model.py").read_text()))
             if isinstance(n, ast.Constant) and isinstance(n.value, str)}  # fmt: skip
    fields = [(t.name, ENUM[t.data_type], list(t.dims)) for t in [*config.input, *config.output]]
    assert fields == [("jpeg", "TYPE_STRING", [1]), ("label", "TYPE_STRING", [1]), ("probability", "TYPE_FP32", [1])]
    assert {name for name, _, _ in fields} <= named and set(CLASSES) <= named


def test_requests_that_are_run_together_keep_their_answers(backend, expected):
    labels, sure = expected
    sizes, requests, start = (1, 3, 8, 2), [], 0
    for size in sizes:
        requests.append(column(JPEGS[start : start + size]))
        start += size
    found = backend.execute([requests[0], column([JPEGS[0], b"x"]), *requests[1:]])
    assert found.pop(1).error and not any(response.error for response in found)
    assert [response.found["label"].shape for response in found] == [(size, 1) for size in sizes]
    answers = np.concatenate([response.found["label"] for response in found]).ravel()
    assert [answer.decode() for answer in answers] == labels[:start]
    chances = np.concatenate([response.found["probability"] for response in found])
    assert chances.dtype == np.float32
    np.testing.assert_allclose(chances.ravel(), sure[:start], atol=0.02)


def test_a_giant_is_refused_by_its_header(backend, monkeypatch):
    monkeypatch.setattr("simplejpeg.decode_jpeg", lambda *_, **__: pytest.fail("was decoded"))
    assert backend.execute([column([BAD["giant"]])])[0].error


@pytest.fixture(scope="module")
def client(network, tmp_path_factory):
    """The official client of the real tritonserver."""
    http = pytest.importorskip("tritonclient.http")
    try:
        assert os.access(peers.environment("triton"), os.X_OK)
    except RuntimeError as error:
        pytest.skip(str(error))
    with serving.server(serving.PEERS["triton"], network, DEFAULT_MODEL, tmp_path_factory.mktemp("triton")) as address:
        made = http.InferenceServerClient(address.split("/")[2])
        yield made
        made.close()  # before the server is told to stop: it waits for open connections


def ask(client, batch):
    """Labels and probabilities of a batch of files."""
    from tritonclient.http import InferInput

    given = InferInput("jpeg", [len(batch), 1], "BYTES")
    given.set_data_from_numpy(column(batch))
    found = client.infer("steel_python", [given])
    labels = [label.decode() for label in found.as_numpy("label").ravel()]
    return labels, found.as_numpy("probability").ravel()


@pytest.mark.parametrize("size", [1, 8])
def test_the_real_server_answers_what_the_runtime_answers(client, expected, size):
    assert client.is_server_ready() and client.is_model_ready("steel_python")
    found = [ask(client, JPEGS[i : i + size]) for i in range(0, len(JPEGS), size)]
    assert [label for labels, _ in found for label in labels] == expected[0]
    np.testing.assert_allclose(np.concatenate([sure for _, sure in found]), expected[1], atol=0.02)


@pytest.mark.parametrize("name", BAD)
def test_the_real_server_lives_on_after_a_bad_file(client, expected, name):
    from tritonclient.utils import InferenceServerException

    for batch in ([BAD[name]], [JPEGS[0], BAD[name]]):
        with pytest.raises(InferenceServerException, match="no JPEG picture that we can read") as error:
            ask(client, batch)
        assert error.value.status() == "400", "the caller's fault must not count as the server's"
    assert ask(client, JPEGS[:2])[0] == expected[0][:2]


def test_the_real_server_refuses_more_than_a_batch(client):
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="batch-size must be <= 8"):
        ask(client, JPEGS[:9])
