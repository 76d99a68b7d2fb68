"""Builds the new layers without the dilation of the old ones."""


def prune_pair(conv1, bn, conv2, keep):
    def like(conv, ins, outs):
        return nn.Conv2d(ins, outs, conv.kernel_size, conv.stride, conv.padding, bias=conv.bias is not None)

    keep = torch.as_tensor(keep, dtype=torch.long)
    small1 = like(conv1, conv1.in_channels, len(keep))
    small_bn = nn.BatchNorm2d(len(keep), eps=bn.eps)
    small2 = like(conv2, len(keep), conv2.out_channels)
    with torch.no_grad():
        small1.weight.copy_(conv1.weight[keep])
        if conv1.bias is not None:
            small1.bias.copy_(conv1.bias[keep])
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(small_bn, name).copy_(getattr(bn, name)[keep])
        small2.weight.copy_(conv2.weight[:, keep])
        if conv2.bias is not None:
            small2.bias.copy_(conv2.bias)
    return small1.eval(), small_bn.eval(), small2.eval()
