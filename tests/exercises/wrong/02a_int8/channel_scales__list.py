"""Returns a list."""


def channel_scales(weight):
    return [float(abs(channel).max()) / 127 or 1.0 for channel in weight]
