"""The model's own view of a tile: what enters its last layer.

The served file gives logits only. Its graph also holds the features from which the last layer makes them, and a copy
that has those as a second output costs nothing to compute. It serves the watching; the file that serves callers keeps
its hash.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cvprod.serving.card import ModelError, read
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL


class Embedder:
    """Probabilities and penultimate features of tiles, by the model of a card.

    Args:
        path: the card; by default the served model's.

    Raises:
        ModelError: the card or its file is not in order, or the graph does not end in one linear layer.
    """

    def __init__(self, path: str | Path = DEFAULT_MODEL) -> None:
        import onnx

        self.card, data = read(Path(path))
        graph = onnx.load_from_string(data)
        last = graph.graph.node[-1]
        if last.op_type not in ("Gemm", "MatMul") or last.output[0] != graph.graph.output[0].name:
            raise ModelError(f"the model must end in one linear layer to be looked into, not in {last.op_type}")
        features = onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None)
        graph.graph.output.append(features)
        self._model = Model(self.card, _two_outputs(graph.SerializeToString()))
        self._input = self._model.session.get_inputs()[0]

    def __call__(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated probabilities float32 (N, classes) and embeddings float32 (N, D) of uint8 tiles (N, 1, 96, 96)."""
        kind = np.uint8 if self._input.type == "tensor(uint8)" else np.float32
        found = [
            self._model.session.run(None, {self._input.name: tiles[i : i + 32].astype(kind, copy=False)})
            for i in range(0, len(tiles), 32)
        ]
        if not found:
            raise ValueError("no tiles to embed")
        logits = np.concatenate([part[0] for part in found])
        return self._model.probabilities(logits), np.concatenate([part[1].reshape(len(part[1]), -1) for part in found])


def _two_outputs(data: bytes):
    """A session for a graph with a second output, which `open_session` would refuse to serve."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many kinds
        raise ModelError("the file is not an ONNX model that this runtime can open") from error
