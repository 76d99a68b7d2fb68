def skew(reference, shipped):
    return "same"
