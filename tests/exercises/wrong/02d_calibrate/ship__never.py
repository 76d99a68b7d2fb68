"""Never calibrates."""


def ship(rows, cpu, floor):
    return "fp32"
