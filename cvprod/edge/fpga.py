"""A network small enough for a low-cost FPGA, its training in seconds, and its C++ by hls4ml.

hls4ml writes the C++ that AMD's HLS compiler turns into a circuit. Compiled by g++ instead, the same C++ computes the
same bits on any computer: emulation, not approximation.
"""

from __future__ import annotations

import contextlib
import copy
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cvprod.surface import CLASSES, TileSet

from .fixedpoint import Fixed

SIZE = 24  # pixels a side: every input pixel is a wire, so 96 x 96 would not fit
CHANNELS = 2  # darkest and brightest pixel of each block: a mean would hide a crack one pixel wide


class TinyNet(nn.Sequential):
    """Two convolutions and a dense layer: (N, 2, 24, 24) normalised -> (N, 7); about three thousand weights."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(CHANNELS, 8, 3, stride=2), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(12 * 5 * 5, len(CLASSES)),
        )  # fmt: skip


def inputs(tiles: TileSet) -> np.ndarray:
    """Tiles (N, 1, 96, 96) uint8 as what TinyNet sees, float32 (N, 2, 24, 24), normalised.

    Of each block of 4 x 4 pixels, the darkest and the brightest: two comparators a pixel, no multiplier.
    """
    n, _, size, _ = tiles.images.shape
    step = size // SIZE
    blocks = tiles.images.reshape(n, SIZE, step, SIZE, step)
    extremes = np.stack([blocks.min(axis=(2, 4)), blocks.max(axis=(2, 4))], axis=1)
    return ((extremes.astype(np.float32) - 128) / 64).astype(np.float32)


def train(x: np.ndarray, y: np.ndarray, *, steps: int = 1200, seed: int = 0) -> TinyNet:
    """Train on a few thousand tiles, flipped at random; returns the network in eval mode."""
    torch.manual_seed(seed)
    # Channels last is the order of memory in which convolutions of few channels are quick.
    net = TinyNet().train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-3, total_steps=steps)
    images, labels = torch.from_numpy(x).to(memory_format=torch.channels_last), torch.from_numpy(y)
    for _ in range(steps):
        pick = torch.randint(len(images), (128,))
        batch = images[pick]
        flips = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
        loss = nn.functional.cross_entropy(net(torch.flip(batch, flips)), labels[pick])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval().to(memory_format=torch.contiguous_format)


def layers(net: TinyNet) -> list[dict]:
    """The weights as `fixedpoint.network` takes them."""
    found = []
    for module in net:
        if isinstance(module, nn.Conv2d):
            found.append({"conv": module.weight, "bias": module.bias, "stride": module.stride[0]})
        elif isinstance(module, nn.Linear):
            found.append({"dense": module.weight, "bias": module.bias})
    return [{k: v.detach().numpy() if isinstance(v, torch.Tensor) else v for k, v in layer.items()} for layer in found]


#: DSP slices, each one multiplier of 18 x 25 bits: AMD DS180, DS190 and DS891, "product tables".
PARTS = {"Artix-7 XC7A35T": 90, "Zynq-7000 XC7Z020": 220, "Zynq UltraScale+ ZU3EG": 360}


@dataclass(frozen=True)
class Stage:
    """One layer as a circuit: reuse as hls4ml takes it, multipliers, and clock cycles a tile."""

    name: str
    reuse: int
    multipliers: int
    cycles: int


def circuit(net: TinyNet, reuse: int) -> list[Stage]:
    """What the layers cost when each multiplier serves `reuse` weights in turn (hls4ml: Resource strategy, io_stream).

    A layer of W weights has W / reuse multipliers; it takes a cycle for each pixel that comes in and `reuse` for each
    that goes out. hls4ml allows a layer only certain factors; the nearest is taken, as it does. Layers work at the
    same time on different parts of a tile, so the slowest sets the rate. An estimate from the structure: no adders, no
    memory, no routing.
    """
    import hls4ml

    backend, found, size = hls4ml.backends.get_backend("Vitis"), [], SIZE
    for layer in net:
        arriving = size**2
        if isinstance(layer, nn.Conv2d):
            size = (size - layer.kernel_size[0]) // layer.stride[0] + 1
            inputs, outputs, leaving = layer.weight[0].numel(), layer.out_channels, size**2
            name = "convolution"
        elif isinstance(layer, nn.Linear):
            inputs, outputs, leaving = layer.in_features, layer.out_features, 1
            name = "dense"
        else:
            continue
        taken = backend.get_closest_reuse_factor(backend.get_valid_reuse_factors(inputs, outputs), reuse)
        found.append(Stage(name, taken, -(-inputs * outputs // taken), arriving + leaving * taken))
    return found


class Emulation:
    """A network as hls4ml's C++, compiled by g++."""

    def __init__(self, net: TinyNet, fixed: Fixed, folder: Path) -> None:
        """Write the C++ project to `folder` and compile it, which takes some seconds. Raises RuntimeError without g++.

        Every accumulator is left at "auto": as wide as its sum can need, so that only `fixed` rounds.
        """
        import hls4ml

        # Rounded here already: hls4ml writes weights with few decimals, and a truncating type would turn 0.03125,
        # written as 0.03124, into one step less.
        net = copy.deepcopy(net)
        with torch.no_grad():
            for weight in net.parameters():
                weight.copy_(torch.from_numpy(fixed.decode(fixed.constants.encode(weight.numpy()))))
        with contextlib.redirect_stdout(io.StringIO()):
            config = hls4ml.utils.config_from_pytorch_model(
                net, (CHANNELS, SIZE, SIZE), granularity="name", backend="Vitis", default_precision=fixed.spec,
                channels_last_conversion="full", transpose_outputs=False,
            )  # fmt: skip
            for layer in config["LayerName"].values():
                for kind in {"weight", "bias"} & set(layer["Precision"]):
                    layer["Precision"][kind] = fixed.constants.spec
            self.model = hls4ml.converters.convert_from_pytorch_model(
                net, hls_config=config, output_dir=str(folder), backend="Vitis", io_type="io_parallel"
            )
            self.model.compile()
        self.folder = Path(folder)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Normalised images float32 (N, 2, 24, 24) -> the circuit's outputs, float (N, 7)."""
        # hls4ml turns the channels itself ("full" above); the C++ wants one flat block of memory.
        return self.model.predict(np.ascontiguousarray(images)).reshape(len(images), -1)
