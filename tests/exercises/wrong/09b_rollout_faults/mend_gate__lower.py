"""Turns the query into small letters."""

import copy
import re


def mend_gate(g):
    g = copy.deepcopy(g)
    g["query"] = re.sub(r"\s+or\s+vector\s*\([^()]*\)\s*$", "", g["query"].lower())
    g["thresholdRange"] = {"min": 0, "max": g["limit"]}
    return g
