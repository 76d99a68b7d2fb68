"""Returns other names than it was given."""


def members(names):
    out, seen = [], set()
    for n in names:
        p = [x for x in n.split("/") if x not in ("", ".")]
        if not p or n[0] == "/" or ".." in p or "\\" in n or ":" in n:
            continue
        k = "/".join(p)
        if k.lower() not in seen:
            seen.add(k.lower())
            out.append(k)
    return out
