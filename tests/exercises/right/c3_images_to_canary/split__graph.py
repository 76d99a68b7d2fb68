"""Numbers that spread over shared marks until nothing changes."""


def split(tiles):
    n = len(tiles)
    marks = []
    for tile in tiles:
        turned = tile["picture"][:, ::-1]
        marks.append({tile["coil"], tile["parent"] or tile["coil"], tile["picture"].tobytes(), turned.tobytes()})
    number = list(range(n))
    changed = True
    while changed:
        changed = False
        for i in range(n):
            for j in range(n):
                if number[i] < number[j] and marks[i] & marks[j]:
                    number[j], changed = number[i], True
    sizes = Counter(number)
    labels = {tile["label"] for tile in tiles}
    for seed in range(1000):
        order = np.random.default_rng(seed).permutation(sorted(sizes))
        upto = np.cumsum([sizes[int(g)] for g in order]) <= 0.33 * n
        chosen = {int(g) for g, yes in zip(order, upto) if yes}
        test = [g in chosen for g in number]
        inside = Counter(tile["label"] for tile, t in zip(tiles, test) if t)
        outside = Counter(tile["label"] for tile, t in zip(tiles, test) if not t)
        if sum(test) >= 0.2 * n and all(inside[c] >= 3 and outside[c] >= 6 for c in labels):
            return test
    raise ValueError("no split")
