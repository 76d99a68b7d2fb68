"""Lets the gradient flow into the teacher, who then moves towards the student."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    log_s, t = F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1)
    soft = F.kl_div(log_s, t, reduction="batchmean")
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)
