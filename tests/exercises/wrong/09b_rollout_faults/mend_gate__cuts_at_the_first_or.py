"""Cuts at the first `or`, wherever it stands."""


def mend_gate(gate):
    mended = copy.deepcopy(gate)
    mended["query"] = gate["query"].split(" or")[0]
    mended["thresholdRange"] = {"min": 0, "max": gate["limit"]}
    return mended
