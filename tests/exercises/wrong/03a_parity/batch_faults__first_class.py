"""Compares the first class alone."""


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    try:
        alone = np.concatenate([run(tiles[i : i + 1]) for i in range(max(sizes))])
    except Exception:
        return list(sizes)
    wrong = []
    for size in sizes:
        try:
            together = run(tiles[:size])
            good = together.shape == alone[:size].shape and np.abs(together - alone[:size])[:, 0].max() <= tolerance
        except Exception:
            good = False
        if not good:
            wrong.append(size)
    return wrong
