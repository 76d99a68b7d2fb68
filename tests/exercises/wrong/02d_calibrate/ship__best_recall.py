def ship(rows, cpu, floor):
    return max((row for row in rows if row["cpu"] == cpu), key=lambda row: row["found"])["variant"]
