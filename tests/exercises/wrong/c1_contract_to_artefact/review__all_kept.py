"""Says that nothing changes, whatever happened to the line."""


def review(old, facts, best):
    return dict.fromkeys(old.limits(), "kept")
