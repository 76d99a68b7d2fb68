"""Without the factor the teacher's voice fades as the temperature rises."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    log_s, t = F.log_softmax(student / temperature, 1), F.softmax(teacher.detach() / temperature, 1)
    return alpha * F.kl_div(log_s, t, reduction="batchmean") + (1 - alpha) * F.cross_entropy(student, labels)
