"""Retraining the last layer alone, on the embeddings that the box itself computes.

The shipped INT8 network ends in one float layer: 96 embeddings in, 7 logits out. Everything before it stays as it is,
so a retraining needs no deep-learning framework, the embeddings are exactly those of production, and the update that
has to reach the line is a few kilobytes. What a new last layer cannot mend shows in its gate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from scipy.optimize import minimize
from scipy.special import logsumexp

from cvprod.serving import card as cards
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.surface import CLASSES

EMBEDDING, WEIGHT, BIAS = "view", "body.head.weight", "body.head.bias"


@dataclass(frozen=True, eq=False)
class Head:
    """The last layer: `weight` float32 (7, D), `bias` float32 (7,)."""

    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.weight.shape[0] != len(CLASSES) or self.bias.shape != (len(CLASSES),):
            raise ValueError(
                f"a head has a weight ({len(CLASSES)}, D) and a bias ({len(CLASSES)},), "
                f"not {self.weight.shape} and {self.bias.shape}."
            )

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """float32 (N, 7) for embeddings (N, D)."""
        return embeddings @ self.weight.T + self.bias

    def predict(self, embeddings: np.ndarray) -> np.ndarray:
        """Class indices, int64 (N,)."""
        return self.logits(embeddings).argmax(1)

    def accuracy(self, embeddings: np.ndarray, labels: np.ndarray) -> float:
        """Share of tiles given their own class."""
        return float((self.predict(embeddings) == labels).mean())

    @property
    def bytes(self) -> int:
        """What an update of this layer carries over the line's radio link."""
        return self.weight.nbytes + self.bias.nbytes


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network up to its last layer, and the layer that it came with. `run`: uint8 (N, 1, 96, 96) -> (N, D)."""

    model: bytes
    head: Head
    session: ort.InferenceSession

    @classmethod
    def load(cls, card: Path = DEFAULT_MODEL) -> Backbone:
        """Open a served model by its card. Raises ModelError for a damaged one, ValueError for another last layer."""
        return cls.parse(cards.read(card)[1])

    @classmethod
    def parse(cls, data: bytes) -> Backbone:
        """Open the bytes of an ONNX file. Raises ValueError where it does not end in the layer that we retrain."""
        graph = onnx.load_from_string(data)
        tensors = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
        last = graph.graph.node[-1]
        if last.op_type != "Gemm" or list(last.input) != [EMBEDDING, WEIGHT, BIAS]:
            raise ValueError(f"the network must end in Gemm({EMBEDDING}, {WEIGHT}, {BIAS}), not in {last.op_type}.")
        graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(EMBEDDING))
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return cls(data, Head(tensors[WEIGHT].copy(), tensors[BIAS].copy()), session)

    def run(self, images: np.ndarray, *, batch: int = 32) -> np.ndarray:
        """Embeddings, float32 (N, D), of uint8 tiles (N, 1, 96, 96)."""
        name = self.session.get_inputs()[0].name
        parts = [images[i : i + batch] for i in range(0, len(images), batch)]
        return np.concatenate([self.session.run([EMBEDDING], {name: part})[0] for part in parts])

    def with_head(self, head: Head) -> bytes:
        """The whole network as an ONNX file, its last layer replaced."""
        graph = onnx.load_from_string(self.model)
        new = {WEIGHT: head.weight, BIAS: head.bias}
        for tensor in graph.graph.initializer:
            if tensor.name in new:
                tensor.CopyFrom(numpy_helper.from_array(new[tensor.name].astype(np.float32), tensor.name))
        onnx.checker.check_model(graph)
        return graph.SerializeToString(deterministic=True)


def head_of(model: bytes) -> Head:
    """The last layer of an ONNX file that `Backbone.with_head` made."""
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer}
    return Head(tensors[WEIGHT].copy(), tensors[BIAS].copy())


@cache
def shipped() -> Backbone:
    """The network that the service comes with, opened once."""
    return Backbone.load()


def fit(
    embeddings: np.ndarray,
    labels: np.ndarray,
    start: Head,
    *,
    weights: np.ndarray | None = None,
    pull: float = 3e-4,
    steps: int = 60,
) -> Head:
    """Retrain the last layer by L-BFGS: cross-entropy plus `pull` times the squared distance from `start`.

    Args:
        embeddings: (N, D). labels: int (N,).
        start: where the search begins, and what it is pulled back to: a handful of new labels cannot tear it away.
        weights: (N,) what each tile counts; all the same by default.
        steps: iterations at most.

    The same input gives the same head. Raises ValueError for no tiles, or for lengths that differ.
    """
    if len(embeddings) != len(labels) or not len(labels):
        raise ValueError(f"{len(embeddings)} embeddings and {len(labels)} labels: give as many of both, and some.")
    x = np.asarray(embeddings, np.float64)
    share = np.full(len(x), 1 / len(x)) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    hot = np.eye(len(CLASSES))[labels]
    origin = np.concatenate([start.weight.T.ravel(), start.bias]).astype(np.float64)
    split = start.weight.size

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parameters[:split].reshape(-1, len(CLASSES)), parameters[split:]
        logits = x @ w + b
        logs = logits - logsumexp(logits, axis=1, keepdims=True)
        error = (np.exp(logs) - hot) * share[:, None]
        moved = parameters - origin
        gradient = np.concatenate([(x.T @ error).ravel(), error.sum(0)]) + 2 * pull * moved
        return -float((share[:, None] * hot * logs).sum()) + pull * float(moved @ moved), gradient

    found = minimize(loss, origin, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    return Head(
        np.ascontiguousarray(found[:split].reshape(-1, len(CLASSES)).T, np.float32), found[split:].astype(np.float32)
    )


def digest(*arrays: np.ndarray) -> str:
    """sha256 over arrays, as hex: the name of a data set in the registry."""
    made = hashlib.sha256()
    for array in arrays:
        made.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return made.hexdigest()
