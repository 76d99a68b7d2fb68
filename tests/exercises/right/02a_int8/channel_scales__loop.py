"""One channel at a time."""

import numpy as np


def channel_scales(weight):
    return np.array([max(channel.max(), -channel.min()) / 127 if channel.any() else 1.0 for channel in weight])
