"""Asks whether the old limit can be reached, not what the line needs now."""


def review(old, facts, best):
    now, words = old.follow(**facts), {}
    for name, (needed, _, side) in now.requirements().items():
        limit, need = getattr(old, name).limit, needed.limit
        over = limit / need if side == "max" else need / limit
        reached = best[name] <= limit if side == "max" else best[name] >= limit
        words[name] = (
            "unreachable" if not reached else "too weak" if over > 1.02 else "loose" if over < 0.98 else "kept"
        )
    return words
