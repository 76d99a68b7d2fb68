"""Copies under another id stay."""


def clean_reference(reference, live, since):
    ids = {row["tile"] for row in live}
    return [i for i, row in enumerate(reference) if row["tile"] not in ids and row["time"] < since]
