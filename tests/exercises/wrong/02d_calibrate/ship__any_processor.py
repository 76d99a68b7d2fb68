"""Reads the times of every processor as if they were this one's."""


def ship(rows, cpu, floor):
    kept = [row for row in rows if row["found"] / row["tiles"] >= floor]
    return min(kept, key=lambda row: np.median(row["ms"]))["variant"]
