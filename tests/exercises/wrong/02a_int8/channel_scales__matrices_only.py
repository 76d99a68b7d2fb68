"""Takes the maximum over the second axis alone: right for a matrix, not for a convolution."""

import numpy as np


def channel_scales(weight):
    scales = np.abs(weight).max(axis=1) / 127
    return np.where(scales > 0, scales, 1.0)
