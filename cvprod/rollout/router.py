"""Who gets how much of the traffic: weights of two servers, set and read back over HAProxy's runtime socket.

Nothing restarts and no connection is cut: a weight decides where the *next* request goes. The names are those of
deploy/haproxy/rollout.cfg.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

TOTAL = 100  # weights are whole numbers: a share is set to the hundredth


class RouterError(RuntimeError):
    """The traffic is not where it was sent; the message says what the router answered."""


class Router(Protocol):
    """What a roll-out needs: HAProxy here, an HTTPRoute in a cluster."""

    def send(self, share: float) -> None:
        """Let the canary get this share of new requests, 0 to 1. Raises RouterError where that failed."""

    @property
    def share(self) -> float:
        """The canary's share, asked of the router itself."""


def runtime_socket(path: Path, timeout: float = 2.0) -> Callable[[str], str]:
    """A function that sends one line to HAProxy's runtime socket and returns its answer. It may raise OSError."""

    def command(words: str) -> str:
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.settimeout(timeout)
            runtime.connect(str(path))
            runtime.sendall(words.encode() + b"\n")
            runtime.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: runtime.recv(65536), b"")).decode().strip()

    return command


class HAProxyWeights:
    """Two servers of one HAProxy backend.

    Args:
        command: sends a line to the runtime socket: `runtime_socket(path)`, or `cvprod.stack.haproxy.Proxy.command`.
        stable, canary: "backend/server".
    """

    def __init__(
        self, command: Callable[[str], str], stable: str = "versions/stable", canary: str = "versions/canary"
    ) -> None:
        self._command, self.stable, self.canary = command, stable, canary

    def send(self, share: float) -> None:
        """See Router. Both weights go in one line; the one that rises goes first, so that never both are 0."""
        if not 0 <= share <= 1:
            raise ValueError(f"a share lies between 0 and 1, not {share}.")
        weight = round(share * TOTAL)
        orders = [f"set server {self.canary} weight {weight}", f"set server {self.stable} weight {TOTAL - weight}"]
        try:
            answer = self._command("; ".join(orders if weight >= TOTAL / 2 else reversed(orders)))
            found = self.share
        except OSError as error:
            raise RouterError(f"HAProxy's runtime socket does not answer: {error}") from error
        if answer or round(found * TOTAL) != weight:
            raise RouterError(f"asked for {weight} of {TOTAL}, HAProxy has {found:.0%}: {answer or 'it said nothing'}")

    def place(self, host: str, port: int) -> None:
        """Put another version into the canary's place, which must have no traffic. Raises RouterError, ValueError."""
        if self.share > 0:
            raise ValueError(
                f"the canary has {self.share:.0%} of the traffic; send it 0 before another takes its place."
            )
        answer = self._command(f"set server {self.canary} addr {host} port {port}")
        if "changed" not in answer and "no need" not in answer:
            raise RouterError(f"{host}:{port} as {self.canary}: {answer or 'HAProxy said nothing'}")

    @property
    def share(self) -> float:
        """The canary's share of both weights. Raises RouterError, OSError."""
        canary, stable = (self._weight(name) for name in (self.canary, self.stable))
        if canary + stable == 0:
            raise RouterError("both weights are 0: nobody is served")
        return canary / (canary + stable)

    def _weight(self, name: str) -> int:
        answer = self._command(f"get weight {name}")
        if not (found := re.match(r"(\d+) \(initial \d+\)", answer)):
            raise RouterError(f"{name}: {answer or 'HAProxy said nothing'}")
        return int(found[1])
