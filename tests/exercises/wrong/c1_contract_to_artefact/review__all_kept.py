def review(old, facts, best):
    return dict.fromkeys(old.limits(), "kept")
