"""Descends child by child."""

import copy
from itertools import pairwise

from torch import nn


def fold_all(model, fold_pair):
    def visit(module):
        if module.training:
            raise ValueError("call eval() first")
        children = list(module.named_children())
        if isinstance(module, nn.Sequential):
            for (a, conv), (b, bn) in pairwise(children):
                if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
                    setattr(module, a, fold_pair(conv, bn))
                    setattr(module, b, nn.Identity())
        for _, child in children:
            visit(child)

    new = copy.deepcopy(model)
    visit(new)
    return new
