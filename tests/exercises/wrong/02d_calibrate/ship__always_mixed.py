def ship(rows, cpu, floor):
    return VARIANTS[2]
