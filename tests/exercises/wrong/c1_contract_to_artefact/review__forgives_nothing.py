"""Forgives no rounding, so that limits which were rounded for a file have to be written anew."""


def review(old, facts, best):
    now, words = old.follow(**facts), {}
    for name, (needed, _, side) in now.requirements().items():
        limit, need = getattr(old, name).limit, needed.limit
        over = limit / need if side == "max" else need / limit
        reached = best[name] <= need if side == "max" else best[name] >= need
        words[name] = "unreachable" if not reached else "too weak" if over > 1 else "loose" if over < 1 else "kept"
    return words
