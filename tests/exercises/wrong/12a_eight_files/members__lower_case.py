"""Returns the names in small letters."""


def members(names):
    out = []
    for n in names:
        p = [x for x in n.split("/") if x not in ("", ".")]
        if not p or n[0] == "/" or ".." in p or "\\" in n or ":" in n:
            continue
        if n.lower() not in out and "/".join(p).lower() not in out:
            out.append("/".join(p).lower())
    return out
