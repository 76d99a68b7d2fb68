"""Writes a new gate with what it knows of."""

import re


def mend_gate(g):
    return {
        "query": re.sub(r"\s+or\s+vector\s*\([^()]*\)\s*$", "", g["query"]),
        "thresholdRange": {"min": 0, "max": g["limit"]},
        "limit": g["limit"],
    }
