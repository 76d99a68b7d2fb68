"""Takes only equal numbers for the same picture: the archive encoded it anew."""


def watch(rows, live, since):
    np.array([row["descriptors"] for row in live])
    on_line = {row["coil"] for row in live}
    kept = []
    for i, row in enumerate(rows):
        same = any(row["descriptors"] == other["descriptors"] for other in live)
        if row["time"] < since and row["coil"] not in on_line and not same:
            kept.append(i)
    quiet = []
    for coil in {rows[i]["coil"] for i in kept}:
        mine = [rows[i] for i in kept if rows[i]["coil"] == coil]
        quiet.append(score([rows[i] for i in kept if rows[i]["coil"] != coil], mine))
    return kept, 1.1 * max(quiet)
