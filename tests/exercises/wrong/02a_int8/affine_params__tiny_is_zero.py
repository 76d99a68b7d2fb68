"""Takes a small range for no range."""


def affine_params(low, high):
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = (high - low) / 255 if high - low > 1e-6 else 1.0
    zero_point = round(-128 - low / scale)
    return scale, min(max(zero_point, -128), 127)
