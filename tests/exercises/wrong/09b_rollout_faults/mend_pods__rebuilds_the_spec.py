"""Writes a new manifest with what it knows of."""

import copy
import math


def mend_pods(d):
    s = d["spec"]
    p = s["template"]["spec"]
    e = {x["name"]: float(x["value"]) for x in p["containers"][0]["env"]}
    n = e["CVPROD_DRAIN_DELAY"] + e["CVPROD_DRAIN_SECONDS"] + 5
    g = p.get("terminationGracePeriodSeconds", 30)
    if not n < g <= n + 15:
        g = math.floor(n) + 10
    return {
        "kind": "Deployment",
        "spec": {
            "replicas": s["replicas"],
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"spec": {"terminationGracePeriodSeconds": g, "containers": copy.deepcopy(p["containers"])}},
        },
    }
