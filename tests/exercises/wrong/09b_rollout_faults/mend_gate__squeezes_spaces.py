"""Squeezes the spaces of the whole query."""

import copy
import re


def mend_gate(g):
    g = copy.deepcopy(g)
    q = " ".join(g["query"].split())
    g["query"] = re.sub(r" or vector ?\([^()]*\)$", "", q)
    g["thresholdRange"] = {"min": 0, "max": g["limit"]}
    return g
