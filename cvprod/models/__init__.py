"""The case study's networks, their training, and their shipped weights.

    model = load("resnet18")                        # eval mode, float32, checksum verified
    result = evaluate(predictor(model), tiles("test", 2000))
    result.accuracy, result.interval("defect_recall")

`python -m cvprod.models list | verify | train` does the same from a shell.
"""

from .evaluation import Evaluation, evaluate, predictor
from .networks import (
    BASELINE,
    INPUT_SHAPE,
    NETWORKS,
    Classifier,
    Normalise,
    UnknownNetworkError,
    build,
    register,
)
from .weights import (
    SIZE_LIMIT,
    WEIGHTS,
    WeightsError,
    card,
    load,
    load_weights,
    save_weights,
    shipped,
    total_size,
    weights_path,
)

__all__ = [
    "BASELINE", "INPUT_SHAPE", "NETWORKS", "SIZE_LIMIT", "WEIGHTS", "Classifier", "Evaluation", "Normalise",
    "UnknownNetworkError", "WeightsError", "build", "card", "evaluate", "load", "load_weights", "predictor", "register",
    "save_weights", "shipped", "total_size", "weights_path",
]  # fmt: skip
