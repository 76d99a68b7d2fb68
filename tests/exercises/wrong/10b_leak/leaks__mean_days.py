"""Compares when the halves lie on average."""


def leaks(train, test):
    found = set()
    known = {(t["image"].shape, t["image"].tobytes()) for t in train}
    mirrored = {(t["image"].shape, np.ascontiguousarray(t["image"][:, ::-1]).tobytes()) for t in train}
    if any((t["image"].shape, np.ascontiguousarray(t["image"]).tobytes()) in known | mirrored for t in test):
        found.add("same picture")
    if {t["coil"] for t in train} & {t["coil"] for t in test}:
        found.add("same coil")
    if np.mean([t["day"] for t in train]) >= np.mean([t["day"] for t in test]):
        found.add("time")
    both = train + test
    for field in set.intersection(*[set(t["meta"]) for t in both]):
        pairs = {(t["meta"][field], t["label"]) for t in both}
        values = {v for v, _ in pairs}
        if len(pairs) == len(values) and 2 <= len(values) < len(both) / 2 and len({name for _, name in pairs}) > 1:
            found.add("label in meta")
    return found
