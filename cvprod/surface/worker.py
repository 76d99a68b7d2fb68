"""A helper process of make_set: ``python -m cvprod.surface.worker``, arguments and results pickled over pipes.

A pool of multiprocessing would either fork a process whose torch and OpenCV threads are running, which can hang,
or import the caller's script again, which runs it twice if it has no ``__main__`` guard.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path


def start(arguments: tuple) -> subprocess.Popen:
    """Start a process that generates one part; ask :func:`result` for what it made."""
    env = dict(os.environ)
    package = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [env.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "cvprod.surface.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    )
    pickle.dump(arguments, process.stdin)
    process.stdin.close()
    return process


def result(process: subprocess.Popen) -> tuple:
    """What a process made; RuntimeError when it died, with its own message above on stderr."""
    data = process.stdout.read()
    process.stdout.close()
    if process.wait() or not data:
        raise RuntimeError(f"a tile worker ended with exit status {process.returncode}")
    return pickle.loads(data)


if __name__ == "__main__":
    import cv2

    from cvprod.surface.draw import some

    cv2.setNumThreads(1)  # one process a core is all the parallelism there is to have
    made = some(*pickle.load(sys.stdin.buffer))
    pickle.dump(made, sys.stdout.buffer, protocol=5)
