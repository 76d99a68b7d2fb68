"""Spends inspectors on tiles about which both say the same."""


def ask(pairs, budget):
    return [i for i, (_, _, truth) in enumerate(pairs) if truth is None][:budget]
