"""Rounds the limit to hundredths."""


def mend_gate(gate):
    import re

    mended = copy.deepcopy(gate)
    mended["query"] = re.sub(r"\s+or\s+vector\s*\([^()]*\)\s*$", "", gate["query"])
    mended["thresholdRange"] = {"min": 0, "max": round(gate["limit"], 2)}
    return mended
