"""Leaves out what is only alike."""


def watch(rows, live, since):
    """Indices of the rows that may be used, and the limit of `score`."""
    now = np.array([row["descriptors"] for row in live])
    on_line = {row["coil"] for row in live}
    kept = []
    for i, row in enumerate(rows):
        twin = (np.abs(now - np.array(row["descriptors"])).max(1) <= 1).any()
        if row["time"] < since and row["coil"] not in on_line and not twin:
            kept.append(i)
    quiet = []
    for coil in {rows[i]["coil"] for i in kept}:
        mine = [rows[i] for i in kept if rows[i]["coil"] == coil]
        quiet.append(score([rows[i] for i in kept if rows[i]["coil"] != coil], mine))
    return kept, 1.1 * max(quiet)
