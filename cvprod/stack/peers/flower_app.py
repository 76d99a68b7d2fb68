"""Flower's own aggregation, twice: by its present strategy and by the older function. Runs in the environment `flower`.

Usage: flower_app.py IN.npz OUT.npz. IN holds `counts` (plants,) and arrays named plant_layer, as 0_0, 0_1, 1_0...;
OUT gets `strategy_0`, `strategy_1`... and `function_0`, `function_1`...
"""

import sys

import numpy as np
from flwr.common import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.server.strategy.aggregate import aggregate
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity


def by_strategy(results):
    """What a server does with the answers of its nodes in one round."""
    # A message names the run that it belongs to; a SuperLink would have given these numbers.
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
    replies = []
    for layers, count in results:
        asked = Message(content=RecordDict(), dst_node_id=len(replies) + 1, message_type="train")
        content = RecordDict({"arrays": ArrayRecord(layers), "metrics": MetricRecord({"num-examples": count})})
        replies.append(Message(content=content, reply_to=asked))
    arrays, _ = FedAvg(min_train_nodes=len(results)).aggregate_train(1, replies)
    return arrays.to_numpy_ndarrays()


def main(source, target):
    with np.load(source) as given:
        counts = [int(count) for count in given["counts"]]
        layers = len([name for name in given.files if name.startswith("0_")])
        results = [([given[f"{p}_{k}"] for k in range(layers)], count) for p, count in enumerate(counts)]
    found = {f"strategy_{k}": layer for k, layer in enumerate(by_strategy(results))}
    found |= {f"function_{k}": layer for k, layer in enumerate(aggregate(results))}
    np.savez(target, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
