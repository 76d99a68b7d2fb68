"""Thinks that every input comes from a ReLU."""


def dense(x, x_fraction, weight, bias, weight_fraction, width, fraction):
    x, weight, bias = (np.asarray(a, np.int64) for a in (x, weight, bias))
    sums = np.maximum(x, 0) @ weight.T + (bias << x_fraction)
    sums = np.maximum(sums, 0)
    drop = x_fraction + weight_fraction - fraction
    codes = (sums + (1 << (drop - 1))) >> drop if drop > 0 else sums << -drop
    top = 1 << (width - 1)
    return np.clip(codes, -top, top - 1)
