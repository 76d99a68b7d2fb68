"""Tell systemd that the loop lives: the sd_notify protocol, a datagram to the socket that $NOTIFY_SOCKET names.

A watchdog is only worth its name if the *work* feeds it. A timer thread would go on saying "alive" while the camera
driver hangs; so the loop itself calls `alive()` after each frame, and a hang of any kind ends in a restart.
Protocol: sd_notify(3), freedesktop.org.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Watchdog:
    """Outside systemd, every method does nothing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval = int(os.environ.get("WATCHDOG_USEC", 0)) / 2e6 if mine else 0.0  # half of it, as advised
        self._last = 0.0

    @property
    def interval_s(self) -> float:
        """How often to report at least, in seconds; 0 when nobody asked."""
        return self._interval

    def ready(self) -> None:
        """The model is loaded and warm: dependent services may start."""
        self._send("READY=1")

    def alive(self, status: str = "") -> None:
        """One piece of work is done. Sends at most one datagram per interval."""
        now = time.monotonic()
        if now - self._last >= min(self._interval or 5.0, 5.0):
            self._last = now
            self._send("WATCHDOG=1" + (f"\nSTATUS={status}" if status else ""))

    def stopping(self) -> None:
        """The program ends because it wants to."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(address)
            channel.sendall(text.encode())
