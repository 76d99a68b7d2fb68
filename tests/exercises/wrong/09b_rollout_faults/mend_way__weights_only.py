"""Mends the weights: the stable Service still reaches the canary."""


def mend_way(way):
    mended = copy.deepcopy(way)
    for backend in mended["route"]:
        part = round(way["share"] * 1000)
        backend["weight"] = part if backend["name"].endswith("-canary") else 1000 - part
    return mended
