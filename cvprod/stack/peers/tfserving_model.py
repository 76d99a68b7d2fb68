"""An ONNX network as a SavedModel for TensorFlow Serving: `python tfserving_model.py MODEL.onnx models/steel/1`.

Run by the Python of the environment `tfserving` (onnx2tf and TensorFlow). The SavedModel takes `tiles`, float32
(N, 96, 96, 1), and gives `logits`, float32 (N, classes), as deploy/tfserving/client.py asks for. It is written only
where its logits are those of ONNX Runtime; else this ends with status 1.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

TOLERANCE = 1e-2


def main(model, place):
    place = Path(place)
    if place.exists():
        sys.exit(f"{place} is there already: a version that was served is never changed, so take the next number")
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    import numpy as np
    import onnx2tf
    import onnxruntime as ort
    import tensorflow as tf

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    tiles = np.random.default_rng(0).integers(0, 256, (16, 1, 96, 96))
    dtype = np.uint8 if given.type == "tensor(uint8)" else np.float32
    expected = session.run(None, {given.name: tiles.astype(dtype)})[0]
    with tempfile.TemporaryDirectory() as folder:
        onnx2tf.convert(input_onnx_file_path=model, output_folder_path=folder, non_verbose=True)
        network = tf.saved_model.load(folder)

        @tf.function(input_signature=[tf.TensorSpec((None, 96, 96, 1), tf.float32, name="tiles")])
        def serve(tiles):
            return {"logits": network(tiles)}

        served = tf.Module()
        served.network, served.serve = network, serve
        draft = Path(folder) / "served"
        tf.saved_model.save(served, str(draft), signatures={"serving_default": served.serve})
        found = (
            tf.saved_model.load(str(draft))
            .signatures["serving_default"](tiles=tf.constant(tiles.transpose(0, 2, 3, 1), tf.float32))["logits"]
            .numpy()
        )
        worst = float(np.abs(found - expected).max())
        if worst > TOLERANCE:
            sys.exit(f"the SavedModel's logits differ from those of ONNX Runtime by {worst:.3g}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft, place)
    print(f"{place}: logits of {len(tiles)} tiles within {worst:.1g} of ONNX Runtime's")


if __name__ == "__main__":
    main(*sys.argv[1:])
