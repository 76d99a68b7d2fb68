"""Writes the magnitudes over the caller's weights."""

import numpy as np


def channel_scales(weight):
    np.abs(weight, out=weight)
    largest = weight.reshape(len(weight), -1).max(axis=1)
    return np.where(largest > 0, largest / 127, 1.0)
