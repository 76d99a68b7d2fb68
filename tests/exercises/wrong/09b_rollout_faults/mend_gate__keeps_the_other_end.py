"""Adds the missing end to whatever was there."""


def mend_gate(gate):
    import re

    mended = copy.deepcopy(gate)
    mended["query"] = re.sub(r"\s+or\s+vector\s*\([^()]*\)\s*$", "", gate["query"])
    mended.setdefault("thresholdRange", {}).setdefault("max", gate["limit"])
    return mended
