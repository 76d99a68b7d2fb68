"""Adds the label that tells the tracks apart."""


def mend_way(way):
    mended = copy.deepcopy(way)
    pods = mended["pods"]
    for name, selector in mended["services"].items():
        track = pods["canary"] if name.endswith("-canary") else pods["stable"]
        other = pods["stable"] if name.endswith("-canary") else pods["canary"]
        selector.update({key: value for key, value in track.items() if other.get(key) != value})
    for backend in mended["route"]:
        share = way["share"] if backend["name"].endswith("-canary") else 1 - way["share"]
        backend["weight"] = round(share * 10_000)
    return mended
