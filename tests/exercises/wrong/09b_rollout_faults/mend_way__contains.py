"""Looks for canary without its hyphen."""

import copy


def mend_way(way):
    w = copy.deepcopy(way)
    for n in w["services"]:
        w["services"][n] = dict(w["pods"]["canary" if n.endswith("canary") else "stable"])
    k = int(w["share"] * 1000)
    for b in w["route"]:
        b["weight"] = k if b["name"].endswith("-canary") else 1000 - k
    return w
