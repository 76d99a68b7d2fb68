"""The scale of the whole tensor, repeated."""

import numpy as np


def channel_scales(weight):
    return np.full(len(weight), np.abs(weight).max() / 127)
