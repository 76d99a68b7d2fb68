"""One rule after the other, and the margin of the best class in place of a probability."""


def admit(pictures, repaired, logits, budget):
    said = {}
    for path, picture in pictures.items():
        name = path.rsplit("/", 1)[-1].casefold()
        if name in {"thumbs.db", "desktop.ini"} or any(p[:1] == "." or p[:2] == "__" for p in path.split("/")):
            said[path] = "litter"
        elif picture is None:
            said[path] = "unreadable"
    rest = sorted(p for p in pictures if p not in said)
    folder = {p: p.split("/")[1] for p in rest}
    for _i, path in enumerate(rest):
        same = [q for q in rest if np.array_equal(pictures[path], pictures[q])]
        if any(folder[q] != folder[path] for q in same):
            said[path] = "contradiction"
        elif same[0] != path:
            said[path] = "duplicate"
    rest = [p for p in rest if p not in said]
    for path in rest:
        if sum(folder[q] == folder[path] for q in rest) < 8:
            said[path] = "class too small"
    rest = [p for p in rest if p not in said]
    against = {p: logits[p].max() - logits[p][CLASSES.index(folder[p])] for p in rest}
    for path in sorted(rest, key=against.get, reverse=True)[:budget]:
        if against[path] > 0:
            said[path] = "inspect"
    for path in rest:
        said.setdefault(path, "repair" if path in repaired else "keep")
    return said
