"""Score a folder of pictures that is larger than memory with Ray Data: `python offline.py FOLDER OUT [--workers N]`.

Pictures stream through: a few blocks are in memory at a time, whatever the folder holds. Writes JSON lines below OUT,
one for each file, with label, probability and review flag, or with the problem that makes it no picture; a bad file
never ends the run. Folders may lie where pyarrow reads (a disk, s3://, gs://). What begins with . or _ at the top of
FOLDER is left out.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import ray

from cvprod.serving import images
from cvprod.serving.errors import InvalidImage
from cvprod.serving.model import Model
from cvprod.serving.settings import load
from cvprod.serving.verdict import judge


class Scorer:
    """Lives in a worker process for the whole run, so that the model is loaded once and not for each block."""

    def __init__(self) -> None:
        self.settings = load([])  # of the environment, as the service's own
        self.model = Model.load(self.settings.model)

    def __call__(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{"path", "bytes"} of n files to {"path", "label", "probability", "review", "problem", "model"} of n."""
        n = len(block["path"])
        tiles, problems = np.zeros((n, 1, 96, 96), np.uint8), [""] * n
        for i, data in enumerate(block["bytes"]):
            try:
                tiles[i, 0] = images.to_tile(bytes(data))
            except InvalidImage as fault:
                problems[i] = fault.slug
        odds = np.concatenate([self.model.probabilities(self.model.run(tiles[i : i + 8])) for i in range(0, n, 8)])
        verdicts = judge(odds, self.model.card.classes, self.settings.review_below)
        good = np.array([not problem for problem in problems])
        return {
            "path": block["path"],
            "label": np.where(good, np.array([verdict.label for verdict in verdicts], dtype=object), ""),
            "probability": np.where(good, [verdict.probability for verdict in verdicts], np.nan),
            "review": good & [verdict.review for verdict in verdicts],
            "problem": np.array(problems, dtype=object),
            "model": np.array([self.model.version] * n, dtype=object),
        }


def score(folder: str, out: str, *, workers: int = 2) -> int:
    """Number of files scored. Raises FileNotFoundError for a folder that is not there or holds no file."""
    files = ray.data.read_binary_files(folder, include_paths=True)
    pool = ray.data.ActorPoolStrategy(size=workers)
    files.map_batches(Scorer, batch_size=64, compute=pool, num_cpus=1).write_json(out)
    return ray.data.read_json(out).count()


def main() -> int:
    """Exit status: 0 done, 1 nothing to do or a folder that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of pictures")
    parser.add_argument("out", help="folder for the JSON lines; must not exist, so that no earlier result is mixed in")
    parser.add_argument("--workers", type=int, default=2, help="processes with a model each (default %(default)s)")
    options = parser.parse_args()
    if "://" not in options.folder:
        folder = Path(options.folder)
        top = list(folder.iterdir()) if folder.is_dir() else []
        hidden = sorted(p.name for p in top if p.name[0] in "._")
        kept = (p for p in top if p.name[0] not in "._")
        if not any(p.is_file() or any(q.is_file() for q in p.rglob("*")) for p in kept):
            print(f"{options.folder}: no such folder, or no file in it.", file=sys.stderr)
            return 1
        if hidden:  # Ray Data does so without a word
            print(f"left out, for a name that begins with . or _: {len(hidden)}, such as {hidden[0]}", file=sys.stderr)
    if "://" not in options.out and Path(options.out).exists():
        print(f"{options.out} is there already: name a new folder.", file=sys.stderr)
        return 1
    if options.workers < 1:
        print("--workers must be at least 1.", file=sys.stderr)
        return 1
    # A core for each scorer, and one for reading and writing.
    ray.init(num_cpus=options.workers + 1, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    folder, out = (p if "://" in p else str(Path(p).resolve()) for p in (options.folder, options.out))
    print(f"{score(folder, out, workers=options.workers)} files scored, results in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
