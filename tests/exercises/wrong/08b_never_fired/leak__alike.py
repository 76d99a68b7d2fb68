"""Throws out what is merely alike."""


def clean_reference(reference, live, since):
    ids = {row["tile"] for row in live}
    return [
        i
        for i, row in enumerate(reference)
        if row["tile"] not in ids
        and row["time"] < since
        and not any(np.linalg.norm(row["embedding"] - other["embedding"]) < 0.1 for other in live)
    ]
