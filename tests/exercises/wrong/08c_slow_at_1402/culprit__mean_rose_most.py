"""Blames the step whose mean rose most."""


def culprit(before, during):
    def mean(spans, name):
        return np.mean([s["end"] - s["start"] for s in spans if s["name"] == name])

    return max(STEPS, key=lambda name: mean(during, name) - mean(before, name))
