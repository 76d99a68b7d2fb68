"""Returns a float."""

import numpy as np


def requests_needed(q, risk):
    return float(np.ceil(np.log(risk) / np.log(q / 100)))
