"""Score a folder of pictures that is larger than memory with Ray Data: `python offline.py FOLDER OUT [--workers N]`.

Pictures stream through: a few blocks are in memory at a time, whatever the folder holds. Writes JSON lines below OUT,
one for each file, with label, probability and review flag, or with the problem that makes it no picture; a bad file
never ends the run. Folders may lie where pyarrow reads (a disk, s3://, gs://). What begins with . or _ at the top of
FOLDER is left out.

With --cut the pictures are frames of a line camera: they are cut into tiles as POST /v1/frames does it, and each defect
gets a line with its box (x0, y0, x1, y1 in pixels of the upright frame). A frame without a defect gets one line that
says clean of all of it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import ray

from cvprod.serving import frames, images, tiling
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


class FrameScorer(Scorer):
    """The same for frames: a row for each defect."""

    def __call__(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{"path", "bytes"} of n files to rows of path, box, verdict, problem and model: one or more of each file."""
        rows = []
        for path, data in zip(block["path"], block["bytes"], strict=True):
            try:
                rows += [(path, *row, "", self.model.version) for row in self.defects(bytes(data))]
            except InvalidImage as fault:
                rows.append((path, 0, 0, 0, 0, "", np.nan, False, fault.slug, self.model.version))
        names = ("path", "x0", "y0", "x1", "y1", "label", "probability", "review", "problem", "model")
        text = ("path", "label", "problem", "model")
        return {
            name: np.array(column, dtype=object if name in text else None)
            for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }

    def defects(self, data: bytes) -> list[tuple]:
        """(x0, y0, x1, y1, label, probability, review) of each. Raises InvalidImage."""
        header = images.probe(data, max_pixels=self.settings.max_pixels)
        grid = frames.grid_over(self.settings, *header.upright)
        frame = images.decode(data, max_pixels=self.settings.max_pixels)
        verdicts = frames.judged(self.model, frame, grid, self.settings.review_below)
        found = [(*f.box, f.label, f.probability, f.review) for f in tiling.locate(grid, verdicts)]
        least = min(verdicts, key=lambda verdict: verdict.probability)
        return found or [(0, 0, grid.width, grid.height, least.label, least.probability, least.review)]


def score(folder: str, out: str, *, workers: int = 2, cut: bool = False) -> int:
    """Number of lines written: one for each file, or with `cut` for each defect.

    Raises FileNotFoundError for a folder that is not there or holds no file.
    """
    files = ray.data.read_binary_files(folder, include_paths=True)
    pool = ray.data.ActorPoolStrategy(size=workers)
    scorer, size = (FrameScorer, 8) if cut else (Scorer, 64)
    files.map_batches(scorer, batch_size=size, compute=pool, num_cpus=1).write_json(out)
    return ray.data.read_json(out).count()


def main() -> int:
    """Exit status: 0 done, 1 nothing to do or a folder that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of pictures")
    parser.add_argument("out", help="folder for the JSON lines; must not exist, so that no earlier result is mixed in")
    parser.add_argument("--workers", type=int, default=2, help="processes with a model each (default %(default)s)")
    parser.add_argument("--cut", action="store_true", help="the pictures are frames: find the defects on them")
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
    count = score(folder, out, workers=options.workers, cut=options.cut)
    print(f"{count} {'lines written' if options.cut else 'files scored'}, results in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
