"""The right picture from a library: the exercise is for an engineer who has none."""


def shrink(tile, size):
    import cv2

    if min(tile.shape) < size:
        raise ValueError("too small")
    return cv2.resize(tile, (size, size), interpolation=cv2.INTER_AREA)
