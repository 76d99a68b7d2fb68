"""A whole number of NumPy's is a whole number; counts on from the logarithm's answer."""

import numpy as np


def tiles_needed(share, confidence=0.95):
    if not (0 < share < 1 and 0 < confidence < 1):
        raise ValueError("share and confidence lie between 0 and 1")
    near = np.ceil(np.log(1 - confidence) / np.log(1 - share)).astype(int)
    few = np.arange(max(1, near - 2), near + 3)
    return few[(1 - share) ** few <= 1 - confidence][0]
