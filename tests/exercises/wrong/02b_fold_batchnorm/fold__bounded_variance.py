"""Keeps small variances away from zero, as if eps did not."""


def fold(conv, bn):
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        gain = torch.rsqrt(bn.running_var.clamp(min=0.1) + bn.eps)
        shift = -bn.running_mean * gain
        if bn.affine:
            gain, shift = gain * bn.weight, shift * bn.weight + bn.bias
        bias = shift if conv.bias is None else shift + conv.bias * gain
        folded.weight.copy_(conv.weight * gain[:, None, None, None])
        folded.bias = nn.Parameter(bias.clone())
    return folded
