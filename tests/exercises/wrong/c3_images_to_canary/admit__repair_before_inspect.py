"""Repairs what somebody should look at."""


def admit(pictures, repaired, logits, budget):
    """Path -> one of plant.VERDICTS."""
    verdicts, seen = {}, {}
    for path in sorted(pictures):
        parts = path.split("/")
        if any(part.startswith((".", "__")) for part in parts) or parts[-1].lower() in ("thumbs.db", "desktop.ini"):
            verdicts[path] = "litter"
        elif pictures[path] is None:
            verdicts[path] = "unreadable"
        else:
            seen.setdefault((pictures[path].shape, pictures[path].tobytes()), []).append(path)
    left = []
    for paths in seen.values():
        if len({path.split("/")[1] for path in paths}) > 1:
            verdicts |= dict.fromkeys(paths, "contradiction")
        else:
            left.append(paths[0])
            verdicts |= dict.fromkeys(paths[1:], "duplicate")
    sizes = Counter(path.split("/")[1] for path in left)
    verdicts |= {path: "class too small" for path in left if sizes[path.split("/")[1]] < 8}
    left = [path for path in left if path not in verdicts]

    def belief(path):
        powers = np.exp(logits[path] - np.max(logits[path]))
        return powers[CLASSES.index(path.split("/")[1])] / powers.sum()

    for path in sorted(left, key=belief)[:budget]:
        verdicts[path] = "inspect"
    return {
        path: "repair" if path in repaired and verdicts.get(path) in (None, "inspect") else verdicts.get(path) or "keep"
        for path in pictures
    }
