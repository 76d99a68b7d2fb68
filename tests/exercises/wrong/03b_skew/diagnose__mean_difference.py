"""Compares the mean difference: one pixel may be anything."""


def diagnose(wanted, seen):
    wanted, seen = wanted.astype(np.float64), np.asarray(seen, np.float64)
    undone = {
        "none": seen,
        "range": seen * 255,
        "normalised": seen * 64 + 128,
        "inverted": 255 - seen,
        "transposed": seen.transpose(0, 2, 1),
    }
    for fault, pixels in undone.items():
        if np.abs(pixels - wanted).mean() <= 2 + 1e-3:
            return fault
    means = np.abs(seen.mean((1, 2)) - wanted.mean((1, 2)))
    return "resize" if (means <= 5).all() else "unknown"
