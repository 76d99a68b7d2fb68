"""Takes every name with canary in it for the canary's."""


def mend_way(way):
    mended = copy.deepcopy(way)
    for name in mended["services"]:
        track = "canary" if "canary" in name else "stable"
        mended["services"][name] = dict(mended["pods"][track])
    parts = round(way["share"] * 1000)
    for backend in mended["route"]:
        backend["weight"] = parts if backend["name"].endswith("-canary") else 1000 - parts
    return mended
