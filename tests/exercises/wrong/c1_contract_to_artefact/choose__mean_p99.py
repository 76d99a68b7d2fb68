"""Lets one disturbed run decide."""


def choose(rows, limits, eur_per_hour):
    """(name, cpu), or None."""

    def certain(count, of, z=1.64):
        """Ends of Wilson's interval."""
        share, middle = count / of, (count + z**2 / 2) / (of + z**2)
        half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
        return middle - half, middle + half

    def euros(row):
        rate = plant.BUSY * plant.CORES * 1000 / np.median(row["ms"])
        machines = max(1, math.ceil(limits["tiles_per_s"] / rate - 1e-9))
        return machines * eur_per_hour[row["cpu"]] / (limits["tiles_per_s"] * 3600) * 1e6

    kept = [
        row
        for row in rows
        if np.mean(row["p99_ms"]) <= limits["p99_latency_ms"]
        and row["size_bytes"] <= 1e6 * limits["model_size_mb"]
        and row["memory_mb"] <= limits["memory_mb"]
        and certain(row["found"], row["defects"])[0] >= limits["defect_recall"]
        and certain(row["rejected"], row["clean"])[1] <= limits["false_reject_rate"]
        and euros(row) <= limits["cost_per_million_tiles_eur"]
    ]
    best = min(kept, key=euros, default=None)
    return best and (best["name"], best["cpu"])
