"""Random views of a training batch, a handful of vectorised operations on the CPU.

The generator already varies what the line varies. What is added here costs no realism and almost no time: steel has no
up and no left, so every tile may be mirrored (not turned: the rolling direction is real); another camera hangs nearer;
and its brightness and contrast are nobody's business.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

#: Standard deviation of the Gaussian that divides detail from light and shade [px].
COARSE = 4.0


def coarse(images: Tensor) -> Tensor:
    """Images, float32 (N, 1, H, W) of more than 16 px, under a Gaussian of `COARSE` px: light and shade, no detail."""
    reach = math.ceil(4 * COARSE)
    taps = torch.exp(-((torch.arange(-reach, reach + 1) / COARSE) ** 2) / 2)
    taps = taps / taps.sum()
    wide = F.pad(images, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))


def fade(images: Tensor, share: Tensor | float) -> Tensor:
    """The same images with only `share` of their detail, as fainter defects would show.

    images: float32 (N, 1, H, W), values 0..255; share: one for all, or (N, 1, 1, 1). Returns whole grey levels.
    """
    shade = coarse(images)
    return (shade + share * (images - shade)).round_().clamp_(0.0, 255.0)


def augment(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Mirror every tile, change its brightness and contrast, and in half of the calls zoom in, each by its own draw.

    images: float32 (N, 1, S, S), values 0..255; returns the same. strength 1 moves contrast by up to 25 %, brightness
    by up to 25 grey levels and zooms into a random window of 73 to 100 % of the edge; 0 leaves only the mirroring.
    Half of the batches stay unzoomed because interpolation smooths: a network must also see the camera's own grain.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    if torch.rand((), generator=generator) < 0.5 and strength:
        theta = torch.zeros(n, 2, 3)
        size = 1 - 0.27 * strength * uniform(0, 1)
        theta[:, 0, 0] = theta[:, 1, 1] = size
        theta[:, 0, 2], theta[:, 1, 2] = (1 - size) * uniform(-1, 1), (1 - size) * uniform(-1, 1)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    mirror = torch.rand(n, 2, 1, 1, 1, generator=generator) < 0.5
    images = torch.where(mirror[:, 0], images.flip(3), images)
    images = torch.where(mirror[:, 1], images.flip(2), images)
    contrast = torch.exp(uniform(-0.25, 0.25) * strength)[:, None, None, None]
    brightness = (uniform(-25.0, 25.0) * strength)[:, None, None, None]
    return ((images - 128.0) * contrast + 128.0 + brightness).clamp_(0.0, 255.0)
