def culprit(before, during):
    return "infer"
