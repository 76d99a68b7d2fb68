"""Core ML on any system: convert and inspect; predict where macOS is."""

import sys

import numpy as np
import pytest

from cvprod import runtimes
from cvprod.runtimes import ModelFileError, UnsupportedPlatformError

coreml = runtimes.get("coreml")


@pytest.mark.parametrize(("precision", "says"), [("fp16", "fp16"), ("fp32", "fp32"), ("int8", "int8 weights")])
def test_package_is_what_was_asked_for(precision, says, converted):
    about = coreml.inspect(converted("coreml", precision))
    assert says in about["precision"]
    assert "tiles" in about["input"] and "FLOAT32" in about["input"] and "logits" in about["output"]
    assert about["operations"]["conv"] == 2 and about["bytes"] > 1000


def test_prediction_needs_a_mac(converted, tiles, reference):
    if sys.platform == "darwin":
        logits = coreml.load(converted("coreml", "fp32"))(tiles.images)
        assert np.allclose(logits, reference, atol=1e-3 * np.abs(reference).max())
    else:
        with pytest.raises(UnsupportedPlatformError, match="macOS"):
            coreml.load(converted("coreml", "fp16"))


def test_what_is_no_package_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        coreml.inspect(tmp_path / "no.mlpackage")
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(ModelFileError, match=r"Manifest\.json"):
        coreml.load(tmp_path / "empty.mlpackage")


def test_a_package_can_take_the_picture_itself(network, tmp_path):
    about = coreml.inspect(coreml.convert(network, tmp_path / "picture", image=True))
    assert about["input"] == "tiles GRAYSCALE picture 96x96"
