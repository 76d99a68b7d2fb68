"""Sets the limit by windows of mixed coils, which are far calmer than any coil."""


def watch(rows, live, since):
    now = np.array([row["descriptors"] for row in live])
    on_line = {row["coil"] for row in live}
    kept = []
    for i, row in enumerate(rows):
        twin = (np.abs(now - np.array(row["descriptors"])).max(1) <= 1e-3).any()
        if row["time"] < since and row["coil"] not in on_line and not twin:
            kept.append(i)
    rng = np.random.default_rng(0)
    good = [rows[i] for i in kept]
    null = [score(good, [good[k] for k in rng.choice(len(good), 20)]) for _ in range(200)]
    return kept, float(np.quantile(null, 0.95))
