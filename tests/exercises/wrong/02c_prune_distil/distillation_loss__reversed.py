"""Takes the divergence the other way round."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    log_t, s = F.log_softmax(teacher.detach() / temperature, 1), F.softmax(student / temperature, 1)
    soft = F.kl_div(log_t, s, reduction="batchmean")
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)
