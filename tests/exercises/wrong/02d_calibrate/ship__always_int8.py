def ship(rows, cpu, floor):
    return "int8"
