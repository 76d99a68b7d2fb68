"""Uses every row, live ones too."""


def watch(rows, live, since):
    kept = list(range(len(rows)))
    quiet = []
    for coil in {rows[i]["coil"] for i in kept}:
        mine = [rows[i] for i in kept if rows[i]["coil"] == coil]
        quiet.append(score([rows[i] for i in kept if rows[i]["coil"] != coil], mine))
    return kept, 1.1 * max(quiet)
