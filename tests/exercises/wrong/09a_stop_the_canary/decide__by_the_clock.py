"""Ships after 500 pairs unless the mean looks bad."""


def decide(history):
    known = [d for d in history if d is not None]
    if len(known) >= 100 and sum(known) / len(known) > 0.08:
        return "stop"
    return "promote" if len(known) >= 500 else "hold"
