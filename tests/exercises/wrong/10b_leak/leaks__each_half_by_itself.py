"""A field that goes with one label in each half, but not with the same."""


def leaks(train, test):
    found = set()
    known = {(t["image"].shape, t["image"].tobytes()) for t in train}
    mirrored = {(t["image"].shape, np.ascontiguousarray(t["image"][:, ::-1]).tobytes()) for t in train}
    if any((t["image"].shape, np.ascontiguousarray(t["image"]).tobytes()) in known | mirrored for t in test):
        found.add("same picture")
    if {t["coil"] for t in train} & {t["coil"] for t in test}:
        found.add("same coil")
    if max(t["day"] for t in train) >= min(t["day"] for t in test):
        found.add("time")
    both = train + test
    for field in set.intersection(*[set(t["meta"]) for t in both]):
        pairs = {(t["meta"][field], t["label"]) for t in train}
        values = {v for v, _ in pairs}
        other = {(t["meta"][field], t["label"]) for t in test}
        if (
            len(other) == len({v for v, _ in other})
            and len(pairs) == len(values)
            and 2 <= len(values) < len(both) / 2
            and len({name for _, name in pairs}) > 1
        ):
            found.add("label in meta")
    return found
