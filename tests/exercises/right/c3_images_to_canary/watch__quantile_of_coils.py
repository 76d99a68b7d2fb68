"""Mean and spread of the coils' scores in place of the largest."""


def watch(rows, live, since):
    def near(row):
        return any(max(abs(a - b) for a, b in zip(row["descriptors"], other["descriptors"])) <= 1e-3 for other in live)

    coils = {row["coil"] for row in live}
    kept = [i for i, row in enumerate(rows) if row["coil"] not in coils and row["time"] < since and not near(row)]
    of = {}
    for i in kept:
        of.setdefault(rows[i]["coil"], []).append(rows[i])
    whole = [rows[i] for i in kept]
    heights = [score(whole, mine[:20]) for mine in of.values()]
    return kept, float(np.mean(heights) + 2.2 * np.std(heights))
