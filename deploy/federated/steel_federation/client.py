"""What runs at a plant. Its tiles' features stay in the file that its SuperNode's configuration names."""

from __future__ import annotations

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from steel_federation import head

app = ClientApp()


def _own(context: Context) -> tuple[np.ndarray, np.ndarray]:
    with np.load(context.node_config["data"]) as kept:
        return kept["x"], kept["y"]


def _reply(message: Message, **records: object) -> Message:
    return Message(content=RecordDict(records), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the head that came on the plant's own tiles, and send it back with their number."""
    x, y = _own(context)
    weights = head.train(
        message.content["arrays"].to_numpy_ndarrays(),
        x,
        y,
        epochs=context.run_config["epochs"],
        lr=context.run_config["learning-rate"],
        seed=message.content["config"]["server-round"],
    )
    return _reply(message, arrays=ArrayRecord(weights), metrics=MetricRecord({"num-examples": len(y)}))


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Say how well the shared head does on the plant's own tiles."""
    x, y = _own(context)
    score = head.accuracy(message.content["arrays"].to_numpy_ndarrays(), x, y)
    return _reply(message, metrics=MetricRecord({"accuracy": score, "num-examples": len(y)}))
