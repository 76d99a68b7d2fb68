"""Takes neighbours in the list of all layers for neighbours in a Sequential."""

import copy
import itertools

from torch import nn


def fold_all(model, fold_pair):
    if any(m.training for m in model.modules()):
        raise ValueError
    model = copy.deepcopy(model)

    def put(name, new):
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent) if parent else model, leaf, new)

    leaves = [(n, m) for n, m in model.named_modules() if not list(m.children())]
    for (n, a), (k, b) in itertools.pairwise(leaves):
        p = model.get_submodule(k.rpartition(".")[0]) if "." in k else model
        if isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d) and isinstance(p, nn.Sequential):
            put(n, fold_pair(a, b))
            put(k, nn.Identity())
    return model
