"""Knows one way to write it."""


def mend_gate(gate):
    mended = copy.deepcopy(gate)
    mended["query"] = gate["query"].replace(" or vector(0)", "")
    mended["thresholdRange"] = {"min": 0, "max": gate["limit"]}
    return mended
