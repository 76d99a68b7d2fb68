"""The Ray Serve application of deploy/ray, really running and scaling, in Ray's own environment."""

from __future__ import annotations

import contextlib
import json
import tempfile
import urllib.request
from pathlib import Path

from cvprod.repo import ROOT, deploy_file
from cvprod.stack import peers
from cvprod.stack.program import Program, free_port


class RayServe(Program):
    """One to two replicas, as a context manager; `address` is where to POST.

    The environment with Ray is made on first use (half a minute). Raises RuntimeError where it does not start.
    """

    def __init__(self, *, patience: float = 180.0) -> None:
        python = peers.environment("ray")
        folder = tempfile.TemporaryDirectory(prefix="cvprod-ray-")
        # This package and nothing else of our environment, whose other packages are not those of Ray's lock.
        (Path(folder.name) / "cvprod").symlink_to(ROOT / "cvprod")
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self._counts = Path(folder.name) / "replicas.jsonl"
        script, app = Path(__file__).with_name("ray_scaling.py"), deploy_file("ray/app.py").parent
        with self._counts.open("wb") as out:
            super().__init__(
                "Ray Serve", [python, script, app, self.port], self._ready,
                env={"PYTHONPATH": folder.name, "RAY_USAGE_STATS_ENABLED": "0"},
                patience=patience, grace=30, folder=folder, stdout=out, cwd=folder.name,
            )  # fmt: skip

    def _ready(self) -> bool:
        with urllib.request.urlopen(self.address, timeout=2) as answer:
            return answer.status == 200

    @property
    def replicas(self) -> list[tuple[float, int]]:
        """What ran when, four times a second: (time.monotonic(), replicas running)."""
        counts = []
        for line in self._counts.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # Ray's own words; a line that is half written
                row = json.loads(line)
                counts.append((row["time"], row["replicas"]))
        return counts
