"""Nothing is thrown away."""


def clean_reference(reference, live, since):
    return list(range(len(reference)))
