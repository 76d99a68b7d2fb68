"""The newest first: the gate stays held up by the oldest."""


def ask(pairs, budget):
    found = [i for i, (s, c, t) in enumerate(pairs) if t is None and c is not None and s != c]
    return sorted(found[::-1][:budget])
