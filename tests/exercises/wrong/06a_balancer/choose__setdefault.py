"""Notes new servers in the caller's connections."""

import numpy as np


def choose(weights, connections, last, up, most):
    able = [n for n in weights if n in up and weights[n] > 0 and connections.setdefault(n, 0) < most]
    return min(able, key=lambda n: (connections[n] / weights[n], last.get(n, -np.inf)), default=None)
