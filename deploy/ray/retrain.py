"""Retrain the last layer for many lines at once with Ray: `python retrain.py FOLDER OUT [--cores N]`.

FOLDER holds a file for each line, NAME.npz with `x` (embeddings) and `y` (labels), as `cvprod.mlops` keeps them. A
third of each is held back to judge. Writes OUT/NAME.npz (weight, bias) for every line whose new layer is better, and
not by chance, and prints one JSON line each. A line with a damaged file costs nobody else anything.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import ray

from cvprod.mlops import heads


@ray.remote(num_cpus=1, max_retries=3)
def retrain(path: str, out: str) -> dict:
    """Fit and judge one line; a worker that dies is replaced, and writes the same file again."""
    name = Path(path).stem
    try:
        with np.load(path, allow_pickle=False) as archive:
            x, y = archive["x"], archive["y"]
        cut, old = len(y) * 2 // 3, heads.shipped().head
        new = heads.fit(x[:cut], y[:cut], old)
        before, after = (head.predict(x[cut:]) == y[cut:] for head in (old, new))
    except Exception as error:
        return {"line": name, "problem": f"{type(error).__name__}: {error}"}
    gain = after.astype(float) - before
    if better := bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain))):  # and not by chance
        np.savez(Path(out) / f"{name}.npz", weight=new.weight, bias=new.bias)
    return {"line": name, "before": before.mean().round(4), "after": after.mean().round(4), "written": better}


def main() -> int:
    """Exit status: 0 every line was judged, 1 one was not or there is none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with a NAME.npz for each line")
    parser.add_argument("out", type=Path, help="folder for the new layers")
    parser.add_argument("--cores", type=int, default=2, help="lines that train at the same time (default %(default)s)")
    options = parser.parse_args()
    lines = sorted(options.folder.glob("*.npz"))
    if not lines or options.cores < 1:
        print(f"{options.folder}: no .npz in it." if not lines else "--cores must be at least 1.", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    ray.init(num_cpus=options.cores, include_dashboard=False, log_to_driver=False, logging_level="error")
    waiting, failed = [retrain.remote(str(p.resolve()), str(options.out.resolve())) for p in lines], 0
    while waiting:
        (done,), waiting = ray.wait(waiting)
        told = ray.get(done)
        failed += "problem" in told
        print(json.dumps(told), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
