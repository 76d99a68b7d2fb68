"""Compares the number of rows; NumPy stretches one class over seven."""


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    try:
        alone = np.concatenate([run(tiles[i : i + 1]) for i in range(max(sizes))])
    except Exception:
        return list(sizes)
    wrong = []
    for size in sizes:
        try:
            together = run(tiles[:size])
            good = len(together) == size and np.abs(together - alone[:size]).max() <= tolerance
        except Exception:
            good = False
        if not good:
            wrong.append(size)
    return wrong
