"""The SavedModel of the chapter's cell: made of the ONNX file, compared with it, never written over another one."""

import subprocess
import sys
from pathlib import Path

import pytest

from cvprod import models, runtimes
from cvprod.repo import root
from cvprod.stack import peers

SCRIPT = peers.HERE / "tfserving_model.py"
PYTHON = root() / "_build/peers/tfserving/bin/python"


def make(python, *words):
    return subprocess.run([python, SCRIPT, *words], capture_output=True, text=True, check=False)


def test_a_version_that_is_there_is_not_touched(tmp_path):
    place = tmp_path / "steel/1"
    place.mkdir(parents=True)
    done = make(sys.executable, "steel.onnx", place)
    assert done.returncode == 1 and "take the next number" in done.stderr and not list(place.iterdir())


@pytest.mark.skipif(not PYTHON.exists(), reason="TensorFlow is not here: cvprod.stack.peers.environment('tfserving')")
def test_it_has_the_names_and_shapes_that_the_client_asks_for(tmp_path):
    onnx = runtimes.get("onnxruntime").convert(models.load("mobilenet_v3_small"), Path(tmp_path) / "steel")
    done = make(PYTHON, onnx, tmp_path / "steel/1")
    assert done.returncode == 0, done.stderr[-500:]
    looks = "import sys, tensorflow as tf; s = tf.saved_model.load(sys.argv[1]).signatures['serving_default']; "
    looks += "print(s.structured_input_signature[1], s.structured_outputs)"
    said = subprocess.run(
        [PYTHON, "-c", looks, tmp_path / "steel/1"], capture_output=True, text=True, check=True
    ).stdout
    assert "'tiles'" in said and "(None, 96, 96, 1)" in said and "'logits'" in said and "(None, 7)" in said
