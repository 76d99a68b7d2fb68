"""Judge a network that was trained on generated tiles alone on real images.

Real collections of steel defects hold no clean tiles, so the question is put six-way: the logit of a class of which
the folder holds no image is left out (only for ``clean``; a real clean folder counts like any other).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cvprod.bench import UsageError, _records, check_output, mendable, write_output
from cvprod.models import (
    BASELINE,
    NETWORKS,
    WEIGHTS,
    Evaluation,
    augment,
    card,
    evaluate,
    load,
    predictor,
)
from cvprod.models.evaluation import Predict
from cvprod.optimize.fuse import onnx_predict
from cvprod.optimize.zoo import PIPELINE, STUDENTS, load_student, pipeline_card, pipeline_path
from cvprod.optimize.zoo import WEIGHTS as STUDENT_WEIGHTS
from cvprod.surface import CLASSES, DEFECTS, TileSet, load_folder

#: Outcomes on photographs, by network; see `recorded`.
RECORDS = Path(__file__).parent / "real_steel"
SHIPPED = (*NETWORKS, *STUDENTS, PIPELINE)


@dataclass(frozen=True, eq=False)
class Sim2Real:
    """The outcome.

    Attributes:
        network: its name.
        evaluation: logits (N, 7), with ``clean`` at minus infinity when it was masked, and labels.
        clean_masked: whether it was.
        called_clean: share of real defects that the unmasked network would call clean (nan without defects).
        detail: float (N,), see `detail`.
    """

    network: str
    evaluation: Evaluation
    clean_masked: bool
    called_clean: float
    detail: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the confusion matrix."""
        return DEFECTS if self.clean_masked else CLASSES

    @property
    def confusion(self) -> np.ndarray:
        """int64 (k, k): row = true class, column = predicted class, in the order of ``classes``."""
        table = self.evaluation.confusion
        return table[1:, 1:] if self.clean_masked else table

    def summary(self) -> dict:
        """Plain numbers, as written by ``--json``."""
        low, high = self.evaluation.interval("accuracy")
        return {
            "network": self.network,
            "accuracy": self.evaluation.accuracy,
            "accuracy_interval_95": [low, high],
            "n_images": self.evaluation.n,
            "per_class": self.evaluation.per_class,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "clean_masked": self.clean_masked,
            "called_clean": None if np.isnan(self.called_clean) else self.called_clean,
            "detail_percent": self.details(),
        }

    def details(self) -> dict[str, dict[str, float]]:
        """For each class in the folder, the median detail of its images in %: of those found, and of those missed."""
        found = {}
        chosen, labels = self.evaluation.logits.argmax(1), self.evaluation.labels
        for label in np.unique(labels):
            right = chosen[labels == label] == label
            parts = {"found": self.detail[labels == label][right], "missed": self.detail[labels == label][~right]}
            found[CLASSES[label]] = {name: round(100 * float(np.median(p)), 2) for name, p in parts.items() if p.size}
        return found

    def table(self) -> str:
        """The outcome as text for a terminal."""
        low, high = self.evaluation.interval("accuracy")
        how = "six-way, clean masked" if self.clean_masked else "seven-way"
        width = max(map(len, self.classes))
        lines = [
            f"{self.network}, trained on generated tiles alone, on {self.evaluation.n} real images ({how})",
            f"accuracy {self.evaluation.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%})",
        ]
        if not np.isnan(self.called_clean):
            lines.append(f"real defects that it would call clean, were that allowed: {self.called_clean:.1%}")
        lines += ["", f"{'true, then predicted':<{width}} {'recall':>7} " + _row(n[:9] for n in self.classes)]
        for name, row in zip(self.classes, self.confusion, strict=True):
            recall = f"{row[self.classes.index(name)] / row.sum():.1%}" if row.sum() else "-"
            lines.append(f"{name:<{width}} {recall:>7} " + _row(row))
        return "\n".join(lines)


def _row(cells) -> str:
    return " ".join(f"{cell:>9}" for cell in cells)


def detail(images: np.ndarray) -> np.ndarray:
    """How much an image varies within a few pixels, as a share of its mean grey level: how plain a fine defect is.

    images: uint8 (N, 1, H, W); returns float64 (N,): the standard deviation of what a Gaussian of 4 px takes away.
    """
    grey = torch.from_numpy(images).float()
    fine = (grey - augment.coarse(grey)).numpy().astype(np.float64).std((1, 2, 3))
    return fine / np.maximum(images.mean((1, 2, 3)), 1.0)


def fade(images: np.ndarray, share: float) -> np.ndarray:
    """The same images with only `share` of their detail, as fainter defects would show; uint8 (N, 1, H, W)."""
    return augment.fade(torch.from_numpy(images).float(), share).byte().numpy()


def opened(network: str) -> Predict:
    """A network of `SHIPPED` as a `predict` function, as it is shipped: the pipeline's file in INT8."""
    if network == PIPELINE:
        return onnx_predict(pipeline_path())
    return predictor(load_student(network) if network in STUDENTS else load(network))


def judge(network: str, images: TileSet, *, predict=None) -> Sim2Real:
    """Judge a shipped network (or `predict`: uint8 NCHW -> logits (N, 7)) on real images, see the module."""
    raw = evaluate(predict or opened(network), images)
    defect = raw.labels != 0
    called_clean = float((raw.logits[defect].argmax(1) == 0).mean()) if defect.any() else float("nan")
    masked = bool(defect.all())
    logits = raw.logits.copy()
    if masked:
        logits[:, 0] = -np.inf
    return Sim2Real(network, Evaluation(logits, raw.labels), masked, called_clean, detail(images.images))


def weights_sha256(network: str) -> str:
    """Checksum of the file that is judged, from its card."""
    if network == PIPELINE:
        return pipeline_card()["file"]["sha256"]
    return card(network, folder=STUDENT_WEIGHTS if network in STUDENTS else WEIGHTS)["weights"]["sha256"]


def recorded(network: str) -> dict:
    """What `--json` wrote for a network on the NEU photographs, which may not be shipped, so that pages can tell it.

    Raises WeightsError where the network was trained again since.
    """
    path = RECORDS / f"{network}.json"
    refusal = (
        "tells of other weights than those shipped. Judge these: python -m cvprod.bench sim2real "
        f"--images DIR --network {network} --json {path}"
    )
    return _records.read(path, "weights_sha256", weights_sha256(network), refusal)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="folder with one folder of images for each class"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here as well")
    parser.add_argument(
        "--network",
        default=BASELINE,
        metavar="NAME",
        help="a shipped network, or pipeline: the final INT8 file (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; write the JSON file. Raises UsageError for a bad folder, file or network, WeightsError for
    damaged weights and FailureError where the file cannot be written after all.
    """
    if args.network not in SHIPPED:
        raise UsageError(f"no network called {args.network!r}; known: {', '.join(SHIPPED)}")
    check_output("--json", args.json)
    with mendable("--images"):
        images = load_folder(args.images)
    outcome = judge(args.network, images)
    print(outcome.table())
    if args.json is not None:
        said = {"weights_sha256": weights_sha256(args.network), **outcome.summary()}
        write_output("--json", args.json, json.dumps(said, indent=2) + "\n")
    return 0
