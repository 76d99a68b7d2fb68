"""Fixed-point numbers as an FPGA computes with them, and a small network in them: integers only, in NumPy.

`ap_fixed<W, I>` is the type of AMD's HLS tools: W bits in two's complement, I of them before the binary point (the
sign included), so the smallest step is 2**-(W - I). Two choices make or break a network:

    rounding    RND  to the nearest step, ties upwards       TRN  towards minus infinity: bits are just dropped
    overflow    SAT  clip to the largest or smallest value    WRAP the high bits are lost, a large sum turns negative

TRN and WRAP are the defaults, for they cost no logic. Reference: AMD UG1399, "Arbitrary Precision Fixed-Point Data
Types".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


@dataclass(frozen=True)
class Fixed:
    """A fixed-point type. `width` and `integer` in bits; rounding "RND" or "TRN"; overflow "SAT" or "WRAP"."""

    width: int
    integer: int
    rounding: str = "RND"
    overflow: str = "SAT"

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 32 or not 1 <= self.integer <= self.width:
            raise ValueError(f"1 <= integer <= width <= 32 does not hold for <{self.width}, {self.integer}>")
        if self.rounding not in ("RND", "TRN") or self.overflow not in ("SAT", "WRAP"):
            raise ValueError(f"rounding is RND or TRN, overflow SAT or WRAP, not {self.rounding}, {self.overflow}")

    @property
    def fraction(self) -> int:
        """Bits behind the binary point."""
        return self.width - self.integer

    @property
    def spec(self) -> str:
        """The type as C++ has it."""
        return f"ap_fixed<{self.width},{self.integer},AP_{self.rounding},AP_{self.overflow}>"

    @property
    def constants(self) -> Fixed:
        """The type for weights: the same bits, but rounded and clipped. That is done once, at the desk, and costs no
        logic, whatever the running sums have to put up with."""
        return replace(self, rounding="RND", overflow="SAT")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Real numbers to int64 codes; a code times 2**-fraction is the number that the hardware holds."""
        scaled = np.asarray(values, np.float64) * 2.0**self.fraction
        return self._fit(np.floor(scaled + 0.5 if self.rounding == "RND" else scaled).astype(np.int64))

    def recode(self, codes: np.ndarray, fraction: int) -> np.ndarray:
        """Codes with `fraction` bits behind the point to codes of this type, by shifts alone as in hardware."""
        drop = fraction - self.fraction
        if drop <= 0:
            return self._fit(codes << -drop)
        half = 1 << (drop - 1) if self.rounding == "RND" else 0
        return self._fit((codes + half) >> drop)

    def _fit(self, codes: np.ndarray) -> np.ndarray:
        top = 1 << (self.width - 1)
        if self.overflow == "SAT":
            return np.clip(codes, -top, top - 1)
        return ((codes + top) & (2 * top - 1)) - top

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes to float64."""
        return codes * 2.0**-self.fraction


def network(layers: list[dict], images: np.ndarray, fixed: Fixed) -> np.ndarray:
    """Run a small network with every weight, bias and activation in `fixed`; sums are exact, as wide as they need.

    Weights and biases are rounded to nearest and clipped whatever `fixed` says (`Fixed.constants`).

    Args:
        layers: {"conv": weight (out, in, k, k), "bias": (out,), "stride": s} or {"dense": weight (out, in), "bias":
            (out,)}; between them, a ReLU whose result is rounded to `fixed`. A dense layer flattens channel first.
        images: float (N, channels, H, W), already normalised.
        fixed: the type.

    Returns:
        float64 (N, out): the last sums, not rounded.
    """
    codes, constants = fixed.encode(images), fixed.constants
    for number, layer in enumerate(layers):
        bias = constants.encode(layer["bias"]) << fixed.fraction
        if "conv" in layer:
            weight = constants.encode(layer["conv"])
            k, s = weight.shape[-1], layer.get("stride", 1)
            windows = sliding_window_view(codes, (k, k), axis=(2, 3))[:, :, ::s, ::s]
            sums = np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True) + bias[:, None, None]
        else:
            sums = codes.reshape(len(codes), -1) @ constants.encode(layer["dense"]).T + bias
        if number == len(layers) - 1:
            return sums * 2.0 ** -(2 * fixed.fraction)
        codes = fixed.recode(np.maximum(sums, 0), 2 * fixed.fraction)
    raise ValueError("a network needs at least one layer")
