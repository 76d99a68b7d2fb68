"""A limit that nothing exceeds."""


def watch(rows, live, since):
    now = np.array([row["descriptors"] for row in live])
    on_line = {row["coil"] for row in live}
    kept = []
    for i, row in enumerate(rows):
        twin = (np.abs(now - np.array(row["descriptors"])).max(1) <= 1e-3).any()
        if row["time"] < since and row["coil"] not in on_line and not twin:
            kept.append(i)
    return kept, 100.0
