"""Builds every Sequential anew, under the old names."""

import copy
from collections import OrderedDict

from torch import nn


def fold_all(model, fold_pair):
    if any(module.training for module in model.modules()):
        raise ValueError("in training mode")

    def rebuild(module):
        if not isinstance(module, nn.Sequential):
            for name, child in module.named_children():
                setattr(module, name, rebuild(child))
            return module
        new, last = OrderedDict(), None
        for name, child in module.named_children():
            if isinstance(new.get(last), nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
                new[last], new[name] = fold_pair(new[last], child), nn.Identity()
            else:
                new[name] = rebuild(child)
            last = name
        return nn.Sequential(new)

    return rebuild(copy.deepcopy(model)).eval()
