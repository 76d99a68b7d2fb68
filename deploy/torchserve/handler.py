"""TorchServe handler of the inspection model: JPEG in, label and probability out, batched by the server.

Self-contained: this file and the ONNX file go into the archive (build.py). Runs where numpy, opencv, simplejpeg and
onnxruntime are installed. A bad picture fails alone, not the batch that it came in.
"""

import os

import cv2
import numpy as np
import onnxruntime
import simplejpeg

CLASSES = ("clean", "crazing", "inclusion", "patches", "pitted_surface", "rolled_in_scale", "scratches")
MOST_BYTES, MOST_PIXELS = 2**20, 4096 * 4096


class Handler:
    """What TorchServe looks for: initialize once a worker, handle once a batch."""

    def initialize(self, context):
        """Open the model of the archive, with one thread: workers are the parallelism."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = os.path.join(context.system_properties["model_dir"], "model.onnx")  # noqa: PTH118
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        given = self.session.get_inputs()[0]
        self.name, self.dtype = given.name, np.uint8 if given.type == "tensor(uint8)" else np.float32
        self.session.run(None, {self.name: np.zeros((1, 1, 96, 96), self.dtype)})

    def tile(self, data):
        """Bytes of a JPEG to (1, 96, 96). Raises ValueError for what is none."""
        # TorchServe decodes JSON and text before we see them: bytes() of a caller's number would be that many zeros.
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ValueError("no bytes")
        if len(data) > MOST_BYTES:
            raise ValueError("larger than a megabyte")
        data = bytes(data)
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > MOST_PIXELS or min(height, width) < 96:
            raise ValueError("too many or too few pixels")
        grey = simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0]
        return cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA)[None].astype(self.dtype)

    def handle(self, data, context):
        """One answer for each request of the batch, in their order."""
        answers, tiles, places = [None] * len(data), [], []
        for place, request in enumerate(data):
            try:
                tiles.append(self.tile(request.get("body") or request.get("data") or b""))
                places.append(place)
            except ValueError:
                context.set_response_status(422, "Unprocessable Content", idx=place)
                answers[place] = {"title": "This is no JPEG picture that we can read."}
        if tiles:
            for place, logits in zip(places, self.session.run(None, {self.name: np.stack(tiles)})[0], strict=True):
                odds = np.exp(logits - logits.max())
                best = int(odds.argmax())
                answers[place] = {"label": CLASSES[best], "probability": float(odds[best] / odds.sum())}
        return answers


_handler = Handler()


def handle(data, context):
    """The function form that TorchServe also accepts: a worker's first call, without data, initialises."""
    if not hasattr(_handler, "session"):
        _handler.initialize(context)
    return [] if data is None else _handler.handle(data, context)
