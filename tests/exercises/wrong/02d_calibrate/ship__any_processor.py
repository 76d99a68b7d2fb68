def ship(rows, cpu, floor):
    kept = [row for row in rows if row["found"] / row["tiles"] >= floor]
    return min(kept, key=lambda row: np.median(row["ms"]))["variant"]
