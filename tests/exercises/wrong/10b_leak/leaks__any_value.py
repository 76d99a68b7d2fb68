"""One value with a single label is enough."""


def leaks(train, test):
    """What is wrong with the split, a set of words."""
    found = set()

    def name(image):
        return hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes()).digest()

    known = {name(tile["image"]) for tile in train}
    if any(name(t["image"]) in known or name(t["image"][:, ::-1]) in known for t in test):
        found.add("same picture")
    if {tile["coil"] for tile in train} & {tile["coil"] for tile in test}:
        found.add("same coil")
    if train and test and max(t["day"] for t in train) >= min(t["day"] for t in test):
        found.add("time")
    both = [*train, *test]
    fields = set.intersection(*(set(tile["meta"]) for tile in both)) if both else set()
    for field in fields:
        labels = {}
        for tile in both:
            labels.setdefault(tile["meta"][field], set()).add(tile["label"])
        single = any(len(names) == 1 for names in labels.values())
        several = len(set.union(*labels.values())) >= 2
        if single and several and 2 <= len(labels) < len(both) / 2:
            found.add("label in meta")
    return found
