"""One equal number is taken for the same picture."""


def clean_reference(reference, live, since):
    ids = {row["tile"] for row in live}
    return [
        i
        for i, row in enumerate(reference)
        if row["tile"] not in ids
        and row["time"] < since
        and not any((np.abs(row["embedding"] - other["embedding"]) <= 1e-6).any() for other in live)
    ]
