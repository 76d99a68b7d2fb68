"""Forgets the magnitude: negative weights saturate."""

import numpy as np


def channel_scales(weight):
    return np.maximum(weight.reshape(len(weight), -1).max(axis=1), 1e-12) / 127
