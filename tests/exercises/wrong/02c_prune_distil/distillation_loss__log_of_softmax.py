"""Takes the logarithm of a softmax that may be 0."""

import torch.nn.functional as F


def distillation_loss(student, teacher, labels, temperature, alpha):
    s, t = F.softmax(student / temperature, 1), F.softmax(teacher.detach() / temperature, 1)
    soft = (t * (t.log() - s.log())).sum(1).mean()
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)
