"""Random views of a training batch, a handful of vectorised operations on the CPU.

The generator already varies what the line varies. What is added here is free of charge and costs no realism: steel
has no up and no left, so every tile may be mirrored; a camera hangs a few millimetres off, so it may be shifted and
scaled; and its brightness and contrast are nobody's business.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Mirror, shift, scale, and change brightness and contrast of every tile by its own draw.

    images: float32 (N, 1, S, S), values 0..255; returns the same. strength 0 leaves only the mirroring, 1 shifts by up
    to 5 % of the edge, scales by up to 15 %, and moves contrast by up to 35 % and brightness by up to 40 grey levels.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    mirror = torch.randint(0, 2, (n, 2), generator=generator) * 2.0 - 1.0
    theta = torch.zeros(n, 2, 3)
    scale = torch.exp(uniform(-0.15, 0.15) * strength)
    theta[:, 0, 0], theta[:, 1, 1] = scale * mirror[:, 0], scale * mirror[:, 1]
    theta[:, 0, 2], theta[:, 1, 2] = uniform(-0.1, 0.1) * strength, uniform(-0.1, 0.1) * strength
    if strength:
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    else:  # mirroring needs no interpolation, so it costs no sharpness
        images = torch.where(mirror[:, 0, None, None, None] < 0, images.flip(3), images)
        images = torch.where(mirror[:, 1, None, None, None] < 0, images.flip(2), images)
    contrast = torch.exp(uniform(-0.35, 0.35) * strength)[:, None, None, None]
    brightness = (uniform(-40.0, 40.0) * strength)[:, None, None, None]
    return ((images - 128.0) * contrast + 128.0 + brightness).clamp_(0.0, 255.0)
