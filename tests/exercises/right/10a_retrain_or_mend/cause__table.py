def cause(drift, sharpness, errors, labels):
    if sharpness < 0.8:
        return "lens"
    wrong = errors * labels
    high = labels > 0 and wrong > 0.04 * labels + 2 * (0.04 * 0.96 * labels) ** 0.5
    return {(False, False): "nothing", (True, False): "light", (True, True): "steel", (False, True): "rule"}[
        bool(drift > 1), bool(high)
    ]
