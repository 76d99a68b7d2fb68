"""A channel, a device and small real models (a random linear classifier in ONNX) that can be told right from wrong."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cvprod.edge import manifest, update
from cvprod.edge.update import Device, Limits
from cvprod.surface import CLASSES

PIXELS = np.random.default_rng(0).integers(0, 256, (28, 1, 96, 96), dtype=np.uint8)
WEIGHTS = np.random.default_rng(1).normal(size=(96 * 96, 7)).astype(np.float32) / 1000
LABELS = (PIXELS.reshape(28, -1).astype(np.float32) @ WEIGHTS).argmax(1)


def onnx_bytes(weights: np.ndarray) -> bytes:
    """A model file: uint8 (1, 1, 96, 96) -> float32 (1, 7), a matrix product."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["v"]),
        helper.make_node("MatMul", ["v", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 1, 96, 96])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 7])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class Plant:
    """Publisher and device in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.channel, self.key = folder, folder / "channel", folder / "key.pem"
        self.public = manifest.new_key(self.key)
        golden = folder / "golden.npz"
        np.savez(golden, images=PIXELS, labels=LABELS)
        (folder / "device").mkdir()
        self.device = Device.init(
            folder / "device",
            name="inspector",
            channel=str(self.channel),
            keys=[self.public],
            golden=golden,
            limits=Limits(min_accuracy=0.9, max_p50_ms=5000),
        )

    def publish(self, version: int, content: bytes | None = None, **options) -> update.Published:
        """Offer a version: a slightly retrained good model unless told otherwise."""
        if content is None:
            step = np.random.default_rng(version).normal(size=WEIGHTS.shape).astype(np.float32) * 1e-7
            content = onnx_bytes(WEIGHTS + step)
        source = self.folder / f"new{version}.onnx"
        source.write_bytes(content)
        options = {"name": "inspector", "key": self.key, "classes": CLASSES} | options
        return update.publish(self.channel, source, version=version, **options)


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """A plant whose health check runs in this process (one test, marked `real_health`, uses the real child)."""

    def here(model, golden, limits):
        import contextlib
        import io
        import json

        from cvprod.edge import cli

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                cli._health(cli._parser().parse_args(["health", str(model), "--golden", str(golden)]))
            except Exception as error:
                return {"ok": False, "why": f"it cannot be run ({error})"}
        found = json.loads(printed.getvalue())
        ok = found["finite"] and found["accuracy"] >= limits.min_accuracy and found["p50_ms"] <= limits.max_p50_ms
        return {"ok": ok, "why": "" if ok else str(found), **found}

    plant = Plant(tmp_path)
    plant.real_health = update.health_check
    monkeypatch.setattr(update, "health_check", here)
    return plant
