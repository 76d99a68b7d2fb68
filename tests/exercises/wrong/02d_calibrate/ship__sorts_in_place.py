"""Sorts the caller's runs."""


def ship(rows, cpu, floor):
    for r in rows:
        r["ms"].sort()
    k = [r for r in rows if r["cpu"] == cpu and r["found"] / r["tiles"] >= floor]
    return min(k, key=lambda r: r["ms"][len(r["ms"]) // 2])["variant"]
