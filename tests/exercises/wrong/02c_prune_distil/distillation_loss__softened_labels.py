"""Softens the student for the labels too."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    log_s, t = F.log_softmax(student / temperature, 1), F.softmax(teacher.detach() / temperature, 1)
    soft = F.kl_div(log_s, t, reduction="batchmean")
    hard = F.cross_entropy(student / (temperature if alpha else 1), labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
