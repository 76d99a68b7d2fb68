"""Rounds to the nearest number, so half of the time the risk is a little too high."""

import numpy as np


def requests_needed(q, risk):
    return max(1, round(np.log(risk) / np.log(q / 100)))
