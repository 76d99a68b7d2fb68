def review(old, facts, best):
    now, words = old.follow(**facts), {}
    for name, (needed, _, side) in now.requirements().items():
        limit, need = getattr(old, name).limit, needed.limit
        reached = best[name] <= need if side == "max" else best[name] >= need
        words[name] = (
            "unreachable"
            if not reached
            else "too weak"
            if (limit > need * 1.02 and side == "max") or (limit < need * 0.98 and side == "min")
            else "loose"
            if limit < need * 0.98 or limit > need * 1.02
            else "kept"
        )
    return words
