"""Whole percent: half of them is rounded away."""


def mend_way(way):
    mended = copy.deepcopy(way)
    for name in mended["services"]:
        mended["services"][name] = dict(mended["pods"]["canary" if name.endswith("-canary") else "stable"])
    for backend in mended["route"]:
        part = int(way["share"] * 100)
        backend["weight"] = part if backend["name"].endswith("-canary") else 100 - part
    return mended
