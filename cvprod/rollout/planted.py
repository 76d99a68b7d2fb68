"""Versions with a known fault, to test a roll-out with: the served network with another head.

A head is one matrix and one bias. Moving the bias of a class makes a model that sees that class everywhere, as one that
was trained on a wrong class prior does; a little noise on the matrix makes one that differs and is no worse. Both are
whole ONNX files with a card, which the service loads like any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvprod.serving.model import Model, open_session, pattern, read
from cvprod.surface import TileSet


@dataclass(frozen=True, eq=False)
class Body:
    """The served network without its head, and what it makes of some tiles with known labels.

    features: float32 (n, f); labels: int (n,); weight (classes, f) and bias (classes,) are the shipped head.
    """

    card: Path
    features: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, card: Path, tiles: TileSet) -> Body:
        """Cut a served model open. Raises ValueError where its last step is not a matrix and a bias."""
        import onnx

        graph = onnx.load_from_string(read(card)[1])
        head = _head(graph)
        graph.graph.output.append(onnx.helper.make_tensor_value_info(head.input[0], onnx.TensorProto.FLOAT, None))
        session = _plain_session(graph.SerializeToString())
        name = session.get_inputs()[0].name
        found = [session.run([head.input[0]], {name: tiles.images[i : i + 64]})[0] for i in range(0, len(tiles), 64)]
        held = {i.name: onnx.numpy_helper.to_array(i) for i in graph.graph.initializer}
        return cls(card, np.concatenate(found), np.asarray(tiles.labels), held[head.input[1]], held[head.input[2]])

    def right(self, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """bool (n,): which tiles this head gets right."""
        return (self.features @ weight.T + bias).argmax(1) == self.labels

    def worse(self, drop: float, *, towards: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """A head that loses about this share of the tiles to one class. Raises ValueError where none does."""
        base, low, high = self.right(self.weight, self.bias).mean(), 0.0, 100.0
        unit = np.eye(len(self.bias), dtype=np.float32)[towards]
        if base - self.right(self.weight, self.bias + high * unit).mean() < drop:
            raise ValueError(f"no bias of class {towards} loses {drop:.0%} of these tiles.")
        for _ in range(40):
            middle = (low + high) / 2
            lost = base - self.right(self.weight, self.bias + middle * unit).mean()
            low, high = (middle, high) if lost < drop else (low, middle)
        return self.weight, self.bias + np.float32(high) * unit

    def other(self, *, noise: float = 0.03, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """A head that differs a little: noise, relative to the spread of the weights, as another training run makes."""
        random = np.random.default_rng(seed)
        spread = noise * self.weight.std()
        return self.weight + random.normal(0, spread, self.weight.shape).astype(np.float32), self.bias

    def write(self, folder: Path, version: str, weight: np.ndarray, bias: np.ndarray) -> Path:
        """A model file with this head and its card, whose path is returned."""
        import onnx

        card, data = read(self.card)
        graph = onnx.load_from_string(data)
        names = list(_head(graph).input[1:3])
        for held in graph.graph.initializer:
            if held.name in names:
                new = weight if held.name == names[0] else bias
                held.CopyFrom(onnx.numpy_helper.from_array(new.astype(np.float32), held.name))
        data = graph.SerializeToString()
        (folder / f"{version}.onnx").write_bytes(data)
        draft = card.model_copy(update={
            "version": version, "file": f"{version}.onnx", "sha256": hashlib.sha256(data).hexdigest(),
            "calibration": {},
        })  # fmt: skip
        logits = Model(draft, open_session(data)).run(pattern())[0]
        made = draft.model_copy(update={"self_test": tuple(round(float(v), 4) for v in logits)})
        path = folder / f"{version}.json"
        path.write_text(made.model_dump_json(indent=1) + "\n")
        return path


def _plain_session(data: bytes):
    """One thread; `open_session` would refuse the second output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _head(graph):
    """The last node, which has to be the one that makes logits of features."""
    node = graph.graph.node[-1]
    if node.op_type != "Gemm" or len(node.input) != 3:
        raise ValueError("the model does not end in a matrix and a bias; take the shipped one, or another head.")
    return node
