"""Record what two runtimes answer to the tiles of capstone 3: ``python -m cvprod.exercises.plant_recording``.

The capstone is for a laptop without a converter. So the logits of the shipped MobileNetV3 are recorded once, by real
engines, and lie in plant.json beside this module; `cvprod.exercises.plant` draws from them.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from cvprod.exercises.plant import CONDITIONS, POOL, RECORDING, SEED
from cvprod.files import write_atomic
from cvprod.models import load
from cvprod.runtimes import onnxruntime, pytorch
from cvprod.surface import Conditions, make_set, to_input

NETWORK = "mobilenet_v3_small"


def record() -> dict[str, np.ndarray]:
    """Logits float32 (POOL, 7) by the name of the engine, of the same tiles in the same order."""
    full = make_set(POOL, SEED, conditions=CONDITIONS, size=224).images
    tiles = np.stack([to_input(tile[0]) for tile in full])[:, None]
    nearest = [cv2.resize(tile[0], (96, 96), interpolation=cv2.INTER_NEAREST) for tile in full]
    dark = make_set(64, SEED + 1, conditions=Conditions(exposure=-2.5)).images
    good = make_set(128, SEED + 2, conditions=CONDITIONS).images
    model = load(NETWORK)
    with tempfile.TemporaryDirectory() as folder:
        floats = onnxruntime.convert(model, Path(folder) / "floats.onnx", precision="fp32")
        engines = {
            "PyTorch": pytorch.wrap(model),
            "ONNX Runtime": onnxruntime.load(floats),
            "ONNX Runtime INT8": onnxruntime.load(onnxruntime.quantize(floats, Path(folder) / "int8.onnx", good)),
            "INT8, calibrated in the dark": onnxruntime.load(
                onnxruntime.quantize(floats, Path(folder) / "dark.onnx", dark)
            ),
        }
        logits = {name: engine(tiles) for name, engine in engines.items()}
        logits["ONNX Runtime, nearest pixel"] = engines["ONNX Runtime"](np.stack(nearest)[:, None])
    return logits


def main() -> None:
    """Write the recording and say how the engines agree."""
    logits = record()
    lines = [
        f'  "{name}": {json.dumps(np.round(v.astype(float), 3).tolist(), separators=(",", ":"))}'
        for name, v in logits.items()
    ]
    write_atomic(RECORDING, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    wanted = logits["PyTorch"].argmax(1)
    for name, values in logits.items():
        print(f"{name:<30} agrees on {np.mean(values.argmax(1) == wanted):.1%} of {len(wanted)} tiles")


if __name__ == "__main__":
    main()
