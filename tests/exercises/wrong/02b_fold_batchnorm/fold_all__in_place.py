"""Folds the caller's model."""

from torch import nn


def fold_all(model, fold_pair):
    if model.training:
        raise ValueError("in training mode")
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                if isinstance(module[i], nn.Conv2d) and isinstance(module[i + 1], nn.BatchNorm2d):
                    module[i], module[i + 1] = fold_pair(module[i], module[i + 1]), nn.Identity()
    return model
