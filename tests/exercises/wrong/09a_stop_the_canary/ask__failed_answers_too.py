"""Asks about tiles that the canary did not answer, which are lost in any case."""


def ask(pairs, budget):
    return [i for i, (s, c, t) in enumerate(pairs) if t is None and s != c][:budget]
