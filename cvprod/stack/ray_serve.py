"""The Ray Serve application of deploy/ray, really running and scaling, in Ray's own environment."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from cvprod.repo import ROOT, deploy_file
from cvprod.stack import peers
from cvprod.stack.program import free_port


class RayServe:
    """One to two replicas, as a context manager; `address` is where to POST, `replicas` what ran when.

    The environment with Ray is made on first use (half a minute). Raises RuntimeError where it does not start.
    """

    def __init__(self, *, patience: float = 180.0) -> None:
        python = peers.environment("ray")
        self.folder = tempfile.TemporaryDirectory(prefix="cvprod-ray-")
        # This package and nothing else of our environment, whose other packages are not those of Ray's lock.
        (Path(self.folder.name) / "cvprod").symlink_to(ROOT / "cvprod")
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        #: (time.monotonic(), replicas running), four times a second
        self.replicas: list[tuple[float, int]] = []
        self.log = Path(self.folder.name) / "ray.log"
        script, app = Path(__file__).with_name("ray_scaling.py"), deploy_file("ray/app.py").parent
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [str(python), str(script), str(app), str(self.port)],
                cwd=self.folder.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True,
                env={**os.environ, "PYTHONPATH": self.folder.name, "RAY_USAGE_STATS_ENABLED": "0"},
            )  # fmt: skip
        atexit.register(self.stop)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        until = time.monotonic() + patience
        while not self._ready():
            if time.monotonic() > until or self.process.poll() is not None:
                text = self.log.read_text(errors="replace")
                self.stop()
                raise RuntimeError(f"Ray Serve did not start: {text.strip()[-800:]}")
            time.sleep(0.2)

    def _read(self) -> None:
        for line in self.process.stdout:
            with contextlib.suppress(ValueError, KeyError):  # Ray prints words of its own
                self.replicas.append((time.monotonic(), json.loads(line)["replicas"]))

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.address, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Shut Ray down; a second call does nothing."""
        atexit.unregister(self.stop)
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()
        self.folder.cleanup()

    def __enter__(self) -> RayServe:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
