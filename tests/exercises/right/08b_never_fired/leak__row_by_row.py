"""Without numpy's broadcasting."""


def clean_reference(reference, live, since):
    def same(a, b):
        return all(abs(float(x) - float(y)) <= 1e-6 for x, y in zip(a, b, strict=True))

    return [
        i
        for i, row in enumerate(reference)
        if row["time"] < since
        and all(row["tile"] != other["tile"] and not same(row["embedding"], other["embedding"]) for other in live)
    ]
