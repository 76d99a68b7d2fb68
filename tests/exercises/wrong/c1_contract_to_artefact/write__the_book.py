def write(said):
    return contract.load_contract().model_dump(exclude_none=True, exclude={"own", "classes"})
