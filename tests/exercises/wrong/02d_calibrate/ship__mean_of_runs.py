"""Takes the mean of the runs, which one disturbed run decides."""


def ship(rows, cpu, floor):
    kept = [row for row in rows if row["cpu"] == cpu and row["found"] / row["tiles"] >= floor]
    return min(kept, key=lambda row: np.mean(row["ms"]))["variant"]
