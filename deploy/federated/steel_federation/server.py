"""What runs beside the SuperLink: rounds of FedAvg, and the shared head in a file at the end."""

from __future__ import annotations

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from steel_federation import head

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for all plants, train together, keep the result."""
    settings = context.run_config
    strategy = FedAvg(
        min_train_nodes=settings["plants"],
        min_evaluate_nodes=settings["plants"],
        min_available_nodes=settings["plants"],
    )
    start = ArrayRecord(head.zeros(settings["width"], settings["classes"]))
    found = strategy.start(grid, start, num_rounds=settings["rounds"])
    weight, bias = found.arrays.to_numpy_ndarrays()
    np.savez(settings["result"], weight=weight, bias=bias)
