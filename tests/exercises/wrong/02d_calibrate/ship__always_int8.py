"""INT8 whatever the recall and the processor."""


def ship(rows, cpu, floor):
    return "int8"
