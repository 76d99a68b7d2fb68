"""Adds an epsilon that is larger than a small channel."""


def channel_scales(weight):
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    return np.where(largest > 0, (largest + 1e-8) / 127, 1.0)
