"""The divergence written out."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    log_s = F.log_softmax(student / temperature, -1)
    log_t = F.log_softmax(teacher / temperature, -1).detach()
    soft = (log_t.exp() * (log_t - log_s)).sum(-1).mean()
    hard = F.nll_loss(F.log_softmax(student, -1), labels)
    return alpha * temperature * temperature * soft + (1 - alpha) * hard
