"""Calls a larger number loose, also where it is a least."""


def review(old, facts, best):
    now, words = old.follow(**facts), {}
    for name, (needed, _, side) in now.requirements().items():
        limit, need = getattr(old, name).limit, needed.limit
        reached = best[name] <= need if side == "max" else best[name] >= need
        words[name] = (
            "unreachable"
            if not reached
            else "loose"
            if limit > 1.02 * need
            else "too weak"
            if limit < 0.98 * need
            else "kept"
        )
    return words
