"""Budgets of edge devices: memory, and an estimate of time and energy for a tile.

The estimate scales a time measured here by the ratio of theoretical peak rates (this core's measured one over the
device's, from its data sheet), and multiplies by the board's power. It assumes that both cores reach the same share of
their peak, and knows nothing of caches, memory and heat. That it is right within a factor of three (`DOUBT`) is an
assumption, not a finding: use it to rule devices out, and measure on the device before you order a thousand. Watts are
not of one kind either (see devices.yaml): typical draw for some boards, the limit of a power mode for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

DOUBT = 3.0  # assumed: an estimated time is wrong by at most this factor, either way


@dataclass(frozen=True)
class Board:
    """A device from devices.yaml: clock in GHz, float32 operations a core and cycle, memory in MB, power in W."""

    name: str
    core: str
    clock_ghz: float
    flop_per_cycle: int
    cores: int
    memory_mb: int
    power_w: float
    sources: tuple[str, ...]

    @property
    def peak_flops(self) -> float:
        """Theoretical float32 peak of one core, FLOP/s."""
        return self.clock_ghz * 1e9 * self.flop_per_cycle

    def estimate(self, seconds: float, peak_here: float) -> Estimate:
        """What `seconds` for a tile on a core of `peak_here` FLOP/s would be on this board."""
        there = seconds * peak_here / self.peak_flops
        return Estimate(there, there * self.power_w)

    def tiles_per_s(self, estimate: Estimate) -> float:
        """Tiles a second with all cores at work, none of which slows another."""
        return self.cores / estimate.seconds

    def verdict(self, estimate: Estimate, *, latency_s: float, tiles_per_s: float, memory_mb: float) -> str:
        """What an estimate says about the board, given a limit for a tile's time, a rate and the memory it must have.

        "out": a limit is broken by more than DOUBT, or memory is missing. "likely": all are kept by more than DOUBT.
        "measure": neither, so only a measurement decides.
        """
        used = max(estimate.seconds / latency_s, tiles_per_s / self.tiles_per_s(estimate))  # share of the limits
        if self.memory_mb < memory_mb or used > DOUBT:
            return "out"
        return "likely" if used * DOUBT < 1 else "measure"


@dataclass(frozen=True)
class Estimate:
    """Estimated seconds and joules for a tile: the whole board's power for the whole time, one core at work."""

    seconds: float
    joules: float

    def tiles_per_battery(self, watt_hours: float) -> float:
        """How many tiles a battery of that capacity pays for, working without a pause."""
        return watt_hours * 3600 / self.joules


def boards() -> list[Board]:
    """All devices of devices.yaml, slowest first. Raises ValueError for an entry without a source."""
    document = yaml.safe_load((Path(__file__).parent / "devices.yaml").read_text("utf-8"))
    found = [Board(**{**entry, "sources": tuple(entry.get("sources") or ())}) for entry in document["devices"]]
    for board in found:
        if not board.sources or not all(address.startswith("https://") for address in board.sources):
            raise ValueError(f"devices.yaml: {board.name} has no source (an https address) for its numbers")
    return sorted(found, key=lambda board: board.peak_flops)


def checked() -> str:
    """The date on which the numbers were last compared with their sources, ISO 8601."""
    document = yaml.safe_load((Path(__file__).parent / "devices.yaml").read_text("utf-8"))
    return str(document["checked"])
