"""The usual form: log-probabilities of the student, probabilities of the teacher."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    soft = F.softmax(teacher.detach() / temperature, dim=1)
    log_soft = F.log_softmax(student / temperature, dim=1)
    kl = F.kl_div(log_soft, soft, reduction="batchmean")
    return alpha * temperature**2 * kl + (1 - alpha) * F.cross_entropy(student, labels)
