def top(x):
    return float(np.max(x)) or 1.0
