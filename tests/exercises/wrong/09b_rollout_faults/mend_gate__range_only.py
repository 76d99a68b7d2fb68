"""Mends the range: a dead exporter still opens the gate."""


def mend_gate(gate):
    mended = copy.deepcopy(gate)
    mended["thresholdRange"] = {"min": 0, "max": gate["limit"]}
    return mended
