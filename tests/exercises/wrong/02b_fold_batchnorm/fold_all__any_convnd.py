"""Folds every kind of convolution."""

import copy

from torch import nn


def fold_all(model, fold_pair):
    if any(m.training for m in model.modules()):
        raise ValueError
    model = copy.deepcopy(model)
    for m in model.modules():
        if isinstance(m, nn.Sequential):
            for i in range(len(m) - 1):
                if isinstance(m[i], nn.modules.conv._ConvNd) and isinstance(m[i + 1], nn.modules.batchnorm._BatchNorm):
                    m[i] = fold_pair(m[i], m[i + 1])
                    m[i + 1] = nn.Identity()
    return model
