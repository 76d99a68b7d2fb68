"""A whole number of NumPy."""

import numpy as np


def cost(option, work):
    if option["kind"] == "function":
        return 1, option["eur_per_million"]
    u = np.maximum(1, np.ceil(np.round(work["peak"] / option["tiles_per_s"] / 0.8, 9))).astype(int)
    return u, u * option["eur_per_hour"] / (work["mean"] * 3600) * 1e6
