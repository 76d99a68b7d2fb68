"""Takes what lies beside a tie for one."""


def encode(values, width, integer, rounding, overflow):
    if rounding not in ("RND", "TRN") or overflow not in ("SAT", "WRAP"):
        raise ValueError(f"no rounding {rounding!r} or overflow {overflow!r}")
    scaled = np.asarray(values, np.float64) * 2.0 ** (width - integer)
    codes = np.floor(scaled + 1e-9 + (0.5 if rounding == "RND" else 0)).astype(np.int64)
    top = 1 << (width - 1)
    if overflow == "SAT":
        return np.clip(codes, -top, top - 1)
    return (codes + top) % (2 * top) - top
