"""Eight numbers a tile that an operator understands: when one of them moves, its name says where to look.

All are taken from what the network sees, a grey tile of 96 x 96. An image cannot be made again from them, so they
may be kept where pictures may not.
"""

from __future__ import annotations

import numpy as np

NAMES = ("brightness", "contrast", "clipping", "sharpness", "noise", "smear", "shading", "grain")
MEANING = {
    "brightness": "exposure, lamps, dirt on the lens",
    "contrast": "gain, haze, another steel",
    "clipping": "over- or underexposure",
    "sharpness": "focus, vibration, compression",
    "noise": "sensor, gain, compression",
    "smear": "motion along the strip: exposure time, vibration",
    "shading": "a lamp that failed or moved",
    "grain": "texture of the steel: grade, scale",
}


def describe(tiles: np.ndarray) -> np.ndarray:
    """The descriptors of some tiles.

    Args:
        tiles: uint8 (N, 1, S, S) or (N, S, S), grey, S at least 12.

    Returns:
        float32 (N, 8), in the order of `NAMES`:
        brightness: mean [grey levels]. contrast: standard deviation [grey levels]. clipping: share of pixels at or
        beyond 4 and 251. sharpness: log of the Laplacian's standard deviation. noise: standard deviation of the
        noise by J. Immerkaer's mask [grey levels] (Fast noise variance estimation, CVIU 64, 1996), which also answers
        to fine grain. smear: log of horizontal to vertical gradient energy; positive where detail is lost along the
        strip. shading: largest difference of the nine thirds' means over the mean. grain: log of the energy of detail
        2 pixels wide to that of detail 8 pixels wide.

    Raises:
        ValueError: not uint8 tiles of a known shape.
    """
    if not isinstance(tiles, np.ndarray) or tiles.dtype != np.uint8:
        raise ValueError(f"tiles must be a uint8 array, got {getattr(tiles, 'dtype', type(tiles).__name__)}")
    if tiles.ndim == 4 and tiles.shape[1] == 1:
        tiles = tiles[:, 0]
    if tiles.ndim != 3 or tiles.shape[1] != tiles.shape[2] or tiles.shape[1] < 12:
        raise ValueError(f"tiles must have the shape (N, 1, S, S) or (N, S, S), S at least 12, not {tiles.shape}")
    # In parts that a processor's cache holds.
    parts = [_describe(tiles[i : i + 32].astype(np.float32)) for i in range(0, len(tiles), 32)]
    return np.concatenate(parts) if parts else np.zeros((0, len(NAMES)), np.float32)


def _describe(x: np.ndarray) -> np.ndarray:
    n, size = len(x), x.shape[1]
    flat = x.reshape(n, -1)
    mean, std = flat.mean(1), flat.std(1)
    clipped = ((flat <= 4) | (flat >= 251)).mean(1)
    inner = x[:, 1:-1, 1:-1]
    cross = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    corners = x[:, :-2, :-2] + x[:, :-2, 2:] + x[:, 2:, :-2] + x[:, 2:, 2:]
    laplacian = (cross - 4 * inner).reshape(n, -1).std(1)
    mask = np.abs(corners - 2 * cross + 4 * inner).reshape(n, -1).mean(1)
    noise = mask * np.float32(np.sqrt(np.pi / 2) / 6)
    across = ((x[:, :, 2:] - x[:, :, :-2]) ** 2).reshape(n, -1).mean(1)
    along = ((x[:, 2:] - x[:, :-2]) ** 2).reshape(n, -1).mean(1)
    thirds = x[:, : size // 3 * 3, : size // 3 * 3].reshape(n, 3, size // 3, 3, size // 3).mean((2, 4)).reshape(n, -1)
    shading = np.ptp(thirds, axis=1) / (mean + 1)
    fine, coarse = _band(x, 1), _band(x, 4)
    one = np.float32(1)
    return np.stack(
        [mean, std, clipped, np.log(laplacian + one), noise, np.log((across + one) / (along + one)), shading,
         np.log((fine + one) / (coarse + one))], axis=1,
    ).astype(np.float32)  # fmt: skip


def _band(x: np.ndarray, width: int) -> np.ndarray:
    """Mean square of the difference between neighbouring blocks of `width` pixels, both ways."""
    size = x.shape[1] // width * width
    y = x[:, :size, :size]
    if width > 1:
        k = size // width
        y = y.reshape(len(x), k, width, k, width).mean((2, 4))
    return ((y[:, 1:] - y[:, :-1]) ** 2).mean((1, 2)) + ((y[:, :, 1:] - y[:, :, :-1]) ** 2).mean((1, 2))
