"""The functions of deploy/serverless: the same pixels and verdicts as the service, refusals, and a checked model."""

import base64
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from cvprod.repo import root
from cvprod.serving import images
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import peers, serverless
from cvprod.surface import make_set, to_input
from cvprod.traffic import hostile

FOLDER = root() / "deploy/serverless"


def module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def tile():
    return module("tile", FOLDER / "tile.py")


@pytest.fixture(scope="module")
def inspector(tile):
    return tile.Inspector(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def jpegs():
    import simplejpeg

    tiles = make_set(24, seed=11, size=224).images[:, 0]
    return [simplejpeg.encode_jpeg(t[:, :, None], quality=90, colorspace="GRAY") for t in tiles]


@pytest.mark.parametrize("shape", [(224, 224), (200, 200), (96, 96), (300, 131), (97, 1000)])
def test_the_resize_is_opencvs_area_average_pixel_by_pixel(tile, shape):
    picture = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    mine = np.rint(tile.area(tile.area(picture).T).T).astype(int)
    off = np.abs(mine - to_input(picture))
    exact = shape in ((224, 224), (200, 200), (96, 96))  # elsewhere an average may fall on a tie
    assert off.max() <= (0 if exact else 1) and (off > 0).mean() < 0.02


def test_verdicts_are_the_services(inspector, jpegs):
    steel = Model.load(DEFAULT_MODEL)
    tiles = np.stack([images.to_tile(jpeg) for jpeg in jpegs])[:, None]
    odds = steel.probabilities(steel.run(tiles))
    found = inspector.verdicts(jpegs)
    assert [one["label"] for one in found] == [steel.card.classes[k] for k in odds.argmax(1)]
    assert [one["probability"] for one in found] == pytest.approx(odds.max(1), abs=1e-3)


def test_one_bad_picture_does_not_spoil_the_others(inspector, jpegs):
    found = inspector.verdicts([jpegs[0], b"no picture", jpegs[1]])
    assert "no JPEG" in found[1]["refused"]
    assert [found[0], found[2]] == inspector.verdicts([jpegs[0], jpegs[1]])
    assert inspector.verdicts([b""])[0]["refused"]


def test_large_and_small_and_cut_pictures_are_refused(inspector, tile, jpegs):
    import simplejpeg

    small = simplejpeg.encode_jpeg(np.zeros((90, 200, 1), np.uint8), colorspace="GRAY")
    wide = simplejpeg.encode_jpeg(np.zeros((96, 60_000, 1), np.uint8), colorspace="GRAY")
    for jpeg, says in ((small, "200 x 90 pixels"), (wide, "60000 x 96"), (jpegs[0] + b"\0" * tile.MOST_BYTES, "bytes")):
        assert says in inspector.verdicts([jpeg])[0]["refused"]
    png = hostile.encode(hostile.GREY, "PNG")
    assert "no JPEG" in inspector.verdicts([png])[0]["refused"]


def test_a_model_with_one_changed_byte_is_refused(tile, tmp_path):
    folder = serverless.package("aws", tmp_path / "task")
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(RuntimeError, match=r"model\.onnx is not the file that model\.json describes"):
        tile.Inspector(folder / "model.json")


@pytest.mark.parametrize("provider", ["aws", "gcp", "azure"])
def test_a_package_is_whole(provider, tmp_path):
    folder = serverless.package(provider, tmp_path / provider)
    names = {path.name for path in folder.iterdir()}
    assert {"tile.py", "model.onnx", "model.json", "requirements.txt"} <= names
    card = json.loads((folder / "model.json").read_text())
    assert card["file"] == "model.onnx"
    wanted = {re.split("[<>=]", line)[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert {"numpy", "onnxruntime", "simplejpeg"} <= wanted <= {
        "numpy", "onnxruntime", "simplejpeg", "functions-framework", "azure-functions"
    }  # fmt: skip


def test_requirements_are_those_that_were_tested():
    locked = dict(re.findall(r"^([\w-]+)==([^\s;]+)", (peers.HERE / "serverless.txt").read_text(), re.M))
    for path in FOLDER.glob("*/requirements.txt"):
        for name, version in re.findall(r"^([\w-]+)==(\S+)", path.read_text(), re.M):
            assert locked[name] == version or name == "numpy", path


def test_build_says_what_is_wrong(tmp_path):
    build = module("serverless_build", FOLDER / "build.py")
    with pytest.raises(ValueError, match="no function for 'ibm'"):
        build.build("ibm", DEFAULT_MODEL, tmp_path)
    done = subprocess.run(
        [sys.executable, FOLDER / "build.py", "aws", "--card", tmp_path / "none.json", "--out", tmp_path / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "none.json" in done.stderr and "Traceback" not in done.stderr


AZURE = """
import base64, json, sys
import azure.functions as func
import function_app
[made] = function_app.app.get_functions()
inspect = made.get_user_function()
bodies = [base64.b64decode(b) for b in json.load(sys.stdin)]
answers = [inspect(func.HttpRequest("POST", "/api/inspect", body=body)) for body in bodies]
print(json.dumps([[a.status_code, json.loads(a.get_body())] for a in answers]))
print(json.dumps(made.get_dict_repr()["bindings"], default=str), file=sys.stderr)
"""


def test_azures_function_answers_when_its_decorator_is_called(tmp_path, jpegs, inspector):
    """Its host cannot be installed here: the function that the decorator registered is called directly."""
    folder = serverless.package("azure", tmp_path / "task")
    asked = json.dumps([base64.b64encode(body).decode() for body in (jpegs[0], b"no", b"x" * 2_000_001)])
    words = [peers.environment("serverless"), "-c", AZURE]
    done = subprocess.run(words, input=asked, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    good, bad, large = json.loads(done.stdout)
    assert good[0] == 200 and good[1]["label"] == inspector.verdicts([jpegs[0]])[0]["label"]
    assert bad[0] == 422 and "no JPEG" in bad[1]["refused"] and large[0] == 413
    assert "function" in done.stderr.lower() and "POST" in done.stderr
