"""TensorFlow Serving's configurations parse strictly; its client speaks the documented protocol to a stub."""

import http.server
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from cvprod.repo import root
from cvprod.surface import CLASSES, INPUT_SIZE
from cvprod.traffic import hostile

from .. import textproto

FOLDER = root() / "deploy/tfserving"

#: The parts of model_server_config.proto, file_system_storage_path_source.proto, session_bundle_config.proto and
#: monitoring_config.proto that one would use.
SCHEMA = {
    "ModelServerConfig": "model_config_list:List",
    "List": "config:*ModelConfig",
    "ModelConfig": "name:str base_path:str model_platform:str model_version_policy:Policy version_labels:*Label",
    "Policy": "latest:Latest all:All specific:Specific",
    "Latest": "num_versions:int",
    "All": "",
    "Specific": "versions:*int",
    "Label": "key:str value:int",
    "BatchingParameters": "max_batch_size:Number batch_timeout_micros:Number max_enqueued_batches:Number "
    "num_batch_threads:Number thread_pool_name:Text allowed_batch_sizes:*int pad_variable_length_inputs:bool",
    "Number": "value:int",
    "Text": "value:str",
    "MonitoringConfig": "prometheus_config:Prometheus",
    "Prometheus": "enable:bool path:str",
}
FILES = {
    "models.config": "ModelServerConfig",
    "batching_parameters.txt": "BatchingParameters",
    "monitoring.config": "MonitoringConfig",
}


@pytest.fixture(scope="module")
def parse():
    """Text and message name to message. Raises text_format.ParseError for an unknown field."""
    made = textproto.classes(SCHEMA)
    return lambda text, name: text_format.Parse(text, made[name]())


@pytest.fixture(scope="module")
def read(parse):
    return lambda file: parse((FOLDER / file).read_text(), FILES[file])


def test_a_misspelt_field_is_refused(parse):
    text = (FOLDER / "models.config").read_text()
    with pytest.raises(text_format.ParseError, match="model_versions_policy"):
        parse(text.replace("model_version_policy", "model_versions_policy"), "ModelServerConfig")


def test_the_official_messages_read_the_models_file(tmp_path):
    """tensorflow-serving-api without what it depends on (TensorFlow): these messages need only protobuf."""
    uv = Path(sys.executable).with_name("uv")
    words = [uv, "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", tmp_path]
    done = subprocess.run(
        [*map(str, words), "tensorflow-serving-api>=2.21,<3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code = """
import sys
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig
made = text_format.Parse(open(sys.argv[1]).read(), ModelServerConfig()).model_config_list.config[0]
assert made.version_labels["stable"] == 1 and list(made.model_version_policy.specific.versions) == [1, 2]
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code, str(FOLDER / "models.config")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_labels_name_versions_that_are_loaded(read):
    [config] = read("models.config").model_config_list.config
    labels = {label.key: label.value for label in config.version_labels}
    loaded = list(config.model_version_policy.specific.versions)
    assert set(labels) == {"stable", "canary"} and set(labels.values()) <= set(loaded)
    assert len(labels) == len(config.version_labels) and loaded == sorted(set(loaded))
    assert config.base_path == f"/models/{config.name}" and config.model_platform == "tensorflow"


def test_batches_are_as_the_server_demands(read):
    batching = read("batching_parameters.txt")
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[0] == 1 and sizes[-1] == batching.max_batch_size.value
    assert batching.num_batch_threads.value >= 1 and batching.batch_timeout_micros.value == 0


def test_metrics_are_on(read):
    monitoring = read("monitoring.config").prometheus_config
    assert monitoring.enable and monitoring.path.startswith("/")


def test_the_readme_mounts_and_names_what_is_there():
    text = (FOLDER / "README.md").read_text()
    files = re.findall(r"=/config/(\S+)", text)
    assert sorted(files) == sorted(FILES) and all((FOLDER / file).is_file() for file in files)
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == {*FILES, "client.py", "README.md"}


# --- The client ---


@pytest.fixture(scope="module")
def client():
    found = importlib.util.spec_from_file_location("tfserving_client", FOLDER / "client.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class Stub(http.server.BaseHTTPRequestHandler):
    """What https://www.tensorflow.org/tfx/serving/api_rest promises of the server, for one model."""

    def do_GET(self):
        if self.path == "/v1/models/steel":
            states = [{"version": "2", "state": "LOADING"}, {"version": "1", "state": "AVAILABLE"}]
            self.answer(200, {"model_version_status": [s | {"status": {"error_code": "OK"}} for s in states]})
        else:
            self.answer(404, {"error": "Could not find any versions of model none"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Content-Type"], body))
        status, said = self.server.plays.pop(0) if self.server.plays else self.predict(body)
        if status == "wait":
            time.sleep(said)
        else:
            self.answer(status, said)

    def predict(self, body):
        found = re.fullmatch(r"/v1/models/steel(?:/(labels|versions)/(\w+))?:predict", self.path)
        if not found or found.group(2) not in (None, "stable", "canary", "1"):
            return 404, {"error": "Servable not found for request: Specific(steel, 9)"}
        rows = np.asarray(body["instances"])
        if body.keys() != {"signature_name", "instances"} or rows.shape[1:] != (INPUT_SIZE, INPUT_SIZE, 1):
            return 400, {"error": f"Incompatible shapes: {rows.shape}"}
        # Which class? The mean grey level says: 0 is the first, 6 the last.
        marks = np.eye(len(CLASSES))[np.rint(rows.mean((1, 2, 3))).astype(int)] * 4.0
        return 200, {"predictions": marks.tolist()}

    def answer(self, status, said):
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def stub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.seen, server.plays = [], []
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def grey(*levels):
    return np.stack([np.full((INPUT_SIZE, INPUT_SIZE), level, np.uint8) for level in levels])


@pytest.mark.parametrize(
    ("which", "path"),
    [({}, ""), ({"label": "stable"}, "/labels/stable"), ({"version": 1}, "/versions/1")],
)
def test_a_request_is_what_the_server_expects(client, stub, which, path):
    logits = client.Client(stub.address, **which).predict(grey(3, 0, 6))
    assert logits.argmax(1).tolist() == [3, 0, 6] and logits.dtype == np.float32
    [(asked, kind, body)] = stub.seen
    assert asked == f"/v1/models/steel{path}:predict" and kind == "application/json"
    assert body["signature_name"] == "serving_default"
    assert np.asarray(body["instances"]).shape == (3, INPUT_SIZE, INPUT_SIZE, 1)
    assert body["instances"][0][0][0] == [3] and isinstance(body["instances"][0][0][0][0], int)


def test_channels_first_is_understood(client, stub):
    tiles = np.random.default_rng(0).integers(0, 256, (2, INPUT_SIZE, INPUT_SIZE)).astype(np.uint8)
    stub.plays += [(200, {"predictions": [[0.0] * 7] * 2})] * 2
    asker = client.Client(stub.address)
    asker.predict(tiles)
    asker.predict(tiles[:, None].astype(np.float32))
    first, second = (np.asarray(body["instances"])[..., 0] for _, _, body in stub.seen)
    assert (first == tiles).all() and (second == tiles).all()


@pytest.mark.parametrize(
    "tiles",
    [np.zeros((96, 96)), np.zeros((0, 96, 96)), np.zeros((1, 3, 96, 96)), np.zeros((1, 95, 96)),
     np.full((1, 96, 96), 256.0), np.full((1, 96, 96), np.nan), np.full((1, 96, 96), -1)],
)  # fmt: skip
def test_wrong_tiles_are_not_sent(client, stub, tiles):
    with pytest.raises(ValueError, match="tiles must"):
        client.Client(stub.address).predict(tiles)
    assert not stub.seen


def test_status(client, stub):
    assert client.Client(stub.address).status() == {1: "AVAILABLE", 2: "LOADING"}
    with pytest.raises(client.ServingError, match="404: Could not find") as caught:
        client.Client(stub.address, "none").status()
    assert caught.value.status == 404 and not caught.value.again


@pytest.mark.parametrize(
    ("played", "status", "says", "again"),
    [
        ((400, {"error": "Failed to process element: 0 of 'instances' list"}), 400, "Failed to process", False),
        ((404, {"error": "Servable not found for request: Latest(steel)"}), 404, "Servable not found", False),
        ((503, {"error": "The batch scheduling queue to which this task was submitted is full"}), 503, "full", True),
        ((502, b"<html>bad gateway</html>"), 502, "bad gateway", False),
        ((500, b""), 500, "Internal Server Error", False),
        ((200, b"\x00\x00not json"), None, "not JSON", False),
        ((200, {"outputs": [[0.0] * 7]}), None, "no rows of predictions", False),
        ((200, []), None, "no rows of predictions", False),
        ((200, {"predictions": [[0.0] * 5]}), None, "(1, 5) predictions for 1 tiles", False),
        ((200, {"predictions": [{"logits": [0.0] * 7}]}), None, "no rows of predictions", False),
        ((200, b'{"predictions": [[NaN, 0, 0, 0, 0, 0, Infinity]]}'), None, "not numbers", False),
    ],
)
def test_what_goes_wrong_is_said(client, stub, played, status, says, again):
    stub.plays.append(played)
    with pytest.raises(client.ServingError) as caught:
        client.Client(stub.address).predict(grey(1))
    assert says in str(caught.value) and caught.value.status == status and caught.value.again is again


def test_an_unknown_label_a_dead_server_and_a_slow_one(client, stub):
    with pytest.raises(client.ServingError, match="404: Servable not found"):
        client.Client(stub.address, label="nobody").predict(grey(1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(client.ServingError, match="cannot be reached") as caught:
            client.Client(f"http://127.0.0.1:{taken.getsockname()[1]}").predict(grey(1))
    assert caught.value.again and caught.value.status is None
    stub.plays.append(("wait", 2))
    with pytest.raises(client.ServingError, match=r"no answer within 0\.3 s") as caught:
        client.Client(stub.address, timeout=0.3).predict(grey(1))
    assert caught.value.again
    with pytest.raises(ValueError, match="not both"):
        client.Client(label="stable", version=1)


def test_the_command_line(client, stub, tmp_path, capsys):
    (picture := tmp_path / "tile.jpg").write_bytes(hostile.encode(np.full((224, 224), 2, np.uint8), "JPEG"))
    assert client.main([str(picture), "--url", stub.address, "--label", "canary"]) == 0
    assert capsys.readouterr().out == f"{picture}\t{CLASSES[2]}\t4.000\n"
    assert stub.seen[0][0] == "/v1/models/steel/labels/canary:predict"
    (hostile_file := tmp_path / "x.jpg").write_bytes(b"GIF89a")
    assert client.main([str(hostile_file), "--url", stub.address]) == 1
    assert client.main([str(tmp_path / "none.jpg"), "--url", stub.address]) == 1
    assert client.main([str(picture), "--url", stub.address, "--version", "9"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and all(line.startswith("client: ") for line in said) and "Servable" in said[2]
