"""Triton's Python backend: decode, resize, classify. One process of this for each instance."""

import os

import cv2
import numpy as np
import onnxruntime
import simplejpeg
import triton_python_backend_utils as pb

CLASSES = ("clean", "crazing", "inclusion", "patches", "pitted_surface", "rolled_in_scale", "scratches")
MOST_BYTES, MOST_PIXELS = 2**20, 4096 * 4096


class TritonPythonModel:
    """The name that the backend looks for."""

    def initialize(self, args):
        """Open the session, one thread: instances are the parallelism."""
        here = os.path.join(args["model_repository"], args["model_version"], "model.onnx")  # noqa: PTH118
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ.get("PEER_MODEL", here), options, providers=["CPUExecutionProvider"]
        )
        given = self.session.get_inputs()[0]
        self.name, self.dtype = given.name, np.uint8 if given.type == "tensor(uint8)" else np.float32

    def _tile(self, data):
        # A header of a few bytes may promise gigabytes of pixels: look before decoding.
        if len(data) > MOST_BYTES:
            raise ValueError("larger than a megabyte")
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > MOST_PIXELS or min(height, width) < 96:
            raise ValueError("too many or too few pixels")
        grey = simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0]
        return cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA)[None].astype(self.dtype)

    def execute(self, requests):
        """One response for each request; a bad picture fails its own request only."""
        responses, tiles, owners = [None] * len(requests), [], []
        for i, request in enumerate(requests):
            jpegs = pb.get_input_tensor_by_name(request, "jpeg").as_numpy().ravel()
            try:
                found = [self._tile(bytes(jpeg)) for jpeg in jpegs]
            except ValueError:
                # The caller's fault, so 400: without a code it would be 500, and count as ours.
                error = pb.TritonError("no JPEG picture that we can read", pb.TritonError.INVALID_ARG)
                responses[i] = pb.InferenceResponse(error=error)
                continue
            tiles += found
            owners += [i] * len(found)
        if tiles:
            logits = self.session.run(None, {self.name: np.stack(tiles)})[0]
            odds = np.exp(logits - logits.max(1, keepdims=True))
            best = odds.argmax(1)
            sure = (odds.max(1) / odds.sum(1)).astype(np.float32)
            for i in set(owners):
                rows = [row for row, owner in enumerate(owners) if owner == i]
                labels = np.array([[CLASSES[best[row]].encode()] for row in rows], dtype=object)
                outputs = [pb.Tensor("label", labels), pb.Tensor("probability", sure[rows][:, None])]
                responses[i] = pb.InferenceResponse(outputs)
        return responses
