"""Looks one cut up only: a half of a half lies on the other side."""


def split(tiles):
    root = {}

    def find(key):
        while root.setdefault(key, key) != key:
            key = root[key]
        return key

    for tile in tiles:
        first, *others = map(
            find, [tile["parent"] or tile["coil"], min(tile["picture"].tobytes(), tile["picture"][:, ::-1].tobytes())]
        )
        for other in others:
            root[find(other)] = find(first)
    group = [find(tile["parent"] or tile["coil"]) for tile in tiles]
    names = list(dict.fromkeys(group))
    rng = np.random.default_rng(0)
    all_of = Counter(tile["label"] for tile in tiles)
    for _ in range(3000):
        chosen, count = set(), 0
        for k in rng.permutation(len(names)):
            if count >= 0.22 * len(tiles):
                break
            chosen.add(names[k])
            count += group.count(names[k])
        test = [g in chosen for g in group]
        of = Counter(tile["label"] for tile, t in zip(tiles, test) if t)
        if count <= 0.35 * len(tiles) and all(of[c] >= 3 and n - of[c] >= 6 for c, n in all_of.items()):
            return test
    return test
