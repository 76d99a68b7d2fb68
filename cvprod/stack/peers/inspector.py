"""What every peer serves: one picture in, one label out. The same decoder, resize and runtime settings for all."""

import os

import cv2
import numpy as np
import onnxruntime as ort
import simplejpeg

CLASSES = ("clean", "crazing", "inclusion", "patches", "pitted_surface", "rolled_in_scale", "scratches")


class Inspector:
    """One ONNX Runtime session with one thread."""

    def __init__(self, path=None):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = path or os.environ["PEER_MODEL"]
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        given = self.session.get_inputs()[0]
        self.name, self.dtype = given.name, np.uint8 if given.type == "tensor(uint8)" else np.float32

    def tile(self, jpeg):
        """JPEG to the network's input (1, 96, 96)."""
        grey = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY")[:, :, 0]
        return cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA)[None].astype(self.dtype)

    def run(self, tiles):
        """Inputs (N, 1, 96, 96) to a list of answers."""
        answers = []
        for logits in self.session.run(None, {self.name: tiles})[0]:
            odds = np.exp(logits - logits.max())
            best = int(odds.argmax())
            answers.append({"label": CLASSES[best], "probability": float(odds[best] / odds.sum())})
        return answers

    def __call__(self, jpeg):
        return self.run(self.tile(jpeg)[None])[0]
