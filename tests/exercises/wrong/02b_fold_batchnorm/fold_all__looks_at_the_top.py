"""Asks the outermost module alone for its mode."""


def fold_all(model, fold_pair):
    if model.training:
        raise ValueError("fold in evaluation mode: call model.eval() first")
    model = copy.deepcopy(model)
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            if type(module[i]) is nn.Conv2d and isinstance(module[i + 1], nn.BatchNorm2d):
                module[i], module[i + 1] = fold_pair(module[i], module[i + 1]), nn.Identity()
    return model
