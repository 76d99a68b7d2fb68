"""Replaces the whole strategy."""

import copy
import math


def mend_pods(d):
    d = copy.deepcopy(d)
    d["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    p = d["spec"]["template"]["spec"]
    e = {x["name"]: float(x["value"]) for x in p["containers"][0]["env"]}
    n = e["CVPROD_DRAIN_DELAY"] + e["CVPROD_DRAIN_SECONDS"] + 5
    if not n < p.get("terminationGracePeriodSeconds", 30) <= n + 15:
        p["terminationGracePeriodSeconds"] = math.floor(n) + 10
    return d
