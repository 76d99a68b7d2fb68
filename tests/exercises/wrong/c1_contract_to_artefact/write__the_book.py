"""Copies the book's contract, which is another plant's."""


def write(said):
    return contract.load_contract().model_dump(exclude_none=True, exclude={"own", "classes"})
