"""Believes every answer that does not raise."""


def batch_faults(run, tiles, sizes, tolerance=1e-3):
    wrong = []
    for size in sizes:
        try:
            run(tiles[:1])
            run(tiles[:size])
        except Exception:
            wrong.append(size)
    return wrong
