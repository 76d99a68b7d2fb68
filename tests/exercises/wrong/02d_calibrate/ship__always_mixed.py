"""Leaves the first and last layer in floats, always."""


def ship(rows, cpu, floor):
    return VARIANTS[2]
