def choose(rows, limits, eur_per_hour):
    found = []
    for row in rows:
        ms, p99 = np.median(row["ms"]), np.median(row["p99_ms"])
        low = row["found"] / row["defects"] * (row["defects"] > 200)
        high = row["rejected"] / row["clean"]
        machines = math.ceil(limits["tiles_per_s"] * ms / (plant.CORES * plant.BUSY * 1000))
        price = machines * eur_per_hour[row["cpu"]] / limits["tiles_per_s"] / 3600 * 1e6
        fits = p99 <= limits["p99_latency_ms"] and row["size_bytes"] / 1e6 <= limits["model_size_mb"]
        fits &= row["memory_mb"] <= limits["memory_mb"] and price <= limits["cost_per_million_tiles_eur"]
        if fits and low >= limits["defect_recall"] and high <= limits["false_reject_rate"]:
            found.append((price, row["name"], row["cpu"]))
    return min(found)[1:] if found else None
