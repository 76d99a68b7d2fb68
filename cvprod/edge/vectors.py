"""Test vectors for the phone apps: what Kotlin and Swift must compute, to the bit where bits are promised.

`write` makes, and `stale` checks, a folder of plain files (see its README.md):

    vectors.json     what there is, offsets, expected logits and tolerances
    tiles.bin        uint8, 224 x 224 each: what the camera gives
    *.png            the same tiles as files
    tensors.bin      uint8, 96 x 96 each: what the network must be fed
    update/          a signed manifest, two versions of a small file and the delta between them

Preprocessing is stated in integers (`area`), so that no platform's resizer has to be trusted.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cvprod.surface import CLASSES, INPUT_SIZE, TILE_SIZE, Conditions, make_tile, to_input

from . import delta as deltas
from .manifest import (
    MANIFEST,
    SIGNATURE,
    DeltaFile,
    Manifest,
    ModelFile,
    UpdateError,
    parse,
    public_key,
    sha256,
    sign,
    verify,
)

# The apps ship the first of these that has weights.
NETWORKS = ("student", "resnet10_half", "mobilenet_v3_small", "shufflenet_v2_x0_5", "resnet18")
FP32_TOLERANCE = 2e-3  # logits, absolute: what different float32 kernels may disagree by
MAX_BYTES = 750_000
#: A tile of each class, by the seed of its generator: plain cases, of which the shipped network is sure.
SEEDS = {
    "clean": 7, "crazing": 10, "inclusion": 8, "patches": 9, "pitted_surface": 7, "rolled_in_scale": 7, "scratches": 7,
}  # fmt: skip


def area(tile: np.ndarray, size: int = INPUT_SIZE) -> np.ndarray:
    """Area averaging in integers: the reference for every language.

    Output pixel o covers the input from n*o/size to n*(o+1)/size. In units of 1/size of an input pixel the overlap with
    input pixel i is the whole number max(0, min(n*(o+1), size*(i+1)) - max(n*o, size*i)), and the overlaps of one
    output pixel sum to n. So, for a square tile of n x n pixels,

        out[y, x] = floor((2 * sum_ij wy[i] * wx[j] * tile[i, j] + n*n) / (2 * n*n))

    which rounds to the nearest grey level. For n = 224 and n = 200 no sum lies on a tie (n*n over the common factor is
    odd), so that floating-point resizers round the same way: cv2.INTER_AREA gives identical pixels.

    Args:
        tile: uint8 (n, n), n >= size.

    Returns:
        uint8 (size, size).
    """
    n = tile.shape[0]
    if tile.shape != (n, n) or n < size:
        raise ValueError(f"area() takes a square tile of at least {size} pixels, got {tile.shape}")
    out, given = np.arange(size)[:, None], np.arange(n)[None, :]
    weights = np.minimum(n * (out + 1), size * (given + 1)) - np.maximum(n * out, size * given)
    weights = np.maximum(weights, 0).astype(np.int64)
    sums = weights @ tile.astype(np.int64) @ weights.T
    return ((2 * sums + n * n) // (2 * n * n)).astype(np.uint8)


@dataclass(frozen=True)
class Vector:
    """One tile of the set: names of its files, byte offsets in tiles.bin and tensors.bin, expected logits."""

    name: str
    png: str
    tile_offset: int
    tensor_offset: int
    logits: tuple[float, ...]
    label: str


def default_network() -> str:
    """The network that the apps ship. Raises ValueError where no weights are in the repository yet."""
    from cvprod import models
    from cvprod.optimize import zoo

    found = [name for name in NETWORKS if name in {*models.shipped(), *models.shipped(zoo.WEIGHTS)}]
    if not found:
        raise ValueError(f"none of {', '.join(NETWORKS)} has shipped weights; train one: python -m cvprod.models train")
    return found[0]


def load_network(name: str):
    """A shipped network (float32, eval mode), whether the models or the optimised students have it."""
    from cvprod import models
    from cvprod.optimize import zoo

    return zoo.load_student(name) if name in zoo.STUDENTS else models.load(name)


def _card(name: str) -> dict:
    from cvprod import models
    from cvprod.optimize import zoo

    return models.card(name, folder=zoo.WEIGHTS) if name in zoo.STUDENTS else models.card(name)


def tiles() -> dict[str, np.ndarray]:
    """The input tiles, uint8 (224, 224): steel of each class, named after it, and a pattern that tells resizers apart.

    The tiles of steel are the apps' health check: with two classes only, a model that knows no other would pass.
    """
    ramp = np.add.outer(np.arange(TILE_SIZE) * 5, np.arange(TILE_SIZE) * 3) % 256
    lines = np.where(np.arange(TILE_SIZE) % 5 == 0, 255, 0)
    steel = {name: make_tile(name, SEEDS[name], conditions=Conditions()).image for name in CLASSES}
    return steel | {
        "pattern": np.where(ramp < 128, ramp, lines[None, :]).astype(np.uint8),
    }


def _expected(network: str | None) -> tuple[dict, dict[str, np.ndarray], np.ndarray]:
    import torch

    name = network or default_network()
    inputs = tiles()
    tensors = np.stack([to_input(tile) for tile in inputs.values()])
    with torch.no_grad():
        logits = load_network(name)(torch.from_numpy(tensors[:, None])).numpy()
    document = {
        "format": 1,
        "network": name,
        "weights_sha256": _card(name)["weights"]["sha256"],
        "classes": list(CLASSES),
        "tile_size": TILE_SIZE,
        "input_size": INPUT_SIZE,
        "tensor": "uint8 grey 0..255, row by row; as network input: the same numbers as float32, shape (1, 1, 96, 96)",
        "fp32_tolerance": FP32_TOLERANCE,
        "vectors": [
            asdict(Vector(
                label, f"{label}.png", i * TILE_SIZE**2, i * INPUT_SIZE**2, tuple(round(float(v), 5) for v in row),
                CLASSES[int(row.argmax())],
            ))
            for i, (label, row) in enumerate(zip(inputs, logits, strict=True))
        ],
    }  # fmt: skip
    return document, inputs, tensors


def write(folder: Path, *, network: str | None = None) -> int:
    """Write the whole set; returns its size in bytes, README not counted. Raises ValueError above MAX_BYTES."""
    folder = Path(folder)
    (folder / "update").mkdir(parents=True, exist_ok=True)
    document, inputs, tensors = _expected(network)
    files: dict[str, bytes] = {
        "vectors.json": (json.dumps(document, indent=1) + "\n").encode(),
        "tiles.bin": b"".join(tile.tobytes() for tile in inputs.values()),
        "tensors.bin": tensors.tobytes(),
    }
    for name, tile in inputs.items():
        files[f"{name}.png"] = cv2.imencode(".png", tile, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    files |= {f"update/{name}": content for name, content in update_example().items()}
    total = sum(map(len, files.values()))
    if total > MAX_BYTES:
        raise ValueError(f"the vectors take {total:,} bytes, more than {MAX_BYTES:,}: they are copied into both apps")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return total


def update_example() -> dict[str, bytes]:
    """A tiny channel: version 1 and 2 of a "model" of 300 floats, its delta, and a manifest signed by a key made for
    this purpose from a public seed. Nobody may trust that key."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"cvprod test vectors, trusted by nobody").digest())
    rng = np.random.Generator(np.random.PCG64(0))
    first = rng.integers(-(2**20), 2**20, 300).astype("<f4") / 2**20
    second = first + rng.integers(-(2**8), 2**8, 300).astype("<f4") / 2**20
    old, new = first.tobytes(), second.tobytes() + b"grown"
    patch = deltas.make(old, new)
    patch_file = DeltaFile("model.delta", len(patch.data), sha256(patch.data), sha256(old), patch.stride)
    file = ModelFile("model2.bin", "model.bin", len(new), sha256(new), (patch_file,))
    manifest = Manifest("example", 2, (file,), "1.0.0", "2026-11-01T00:00:00+00:00", CLASSES, {"accuracy": 0.99})
    data = manifest.to_bytes()
    return {
        "model1.bin": old,
        "model2.bin": new,
        "model.delta": patch.data,
        MANIFEST: data,
        SIGNATURE: sign(data, key),
        "public.key": (public_key(key) + "\n").encode(),
        "forged.json": data.replace(b'"version": 2', b'"version": 3'),
    }


def stale(folder: Path, *, network: str | None = None) -> list[str]:
    """What in the folder is missing or no longer what the code and the shipped network give; empty when fresh.

    The network is the one that the file names; another one is a decision, made by writing the set again. Compared by
    meaning: PNG and DEFLATE may be written in other bytes by other library versions.
    """
    folder = Path(folder)
    remedy = f"run: python -m cvprod.edge vectors --out {folder}"
    try:
        there = json.loads((folder / "vectors.json").read_text("utf-8"))
        document, inputs, tensors = _expected(network or there["network"])
        faults: list[str] = []
        changed = [key for key in document if key != "vectors" and there.get(key) != document[key]]
        faults += [f"vectors.json: {key} differs" for key in changed]
        logits = [np.array([v["logits"] for v in d["vectors"]]) for d in (there, document)]
        if logits[0].shape != logits[1].shape or not np.allclose(*logits, atol=FP32_TOLERANCE / 2):
            faults.append("vectors.json: logits differ")
        for mine, theirs in zip(document["vectors"], there["vectors"], strict=False):
            if {**mine, "logits": 0} != {**theirs, "logits": 0}:
                faults.append(f"vectors.json: {mine['name']} differs")
        if (folder / "tiles.bin").read_bytes() != b"".join(tile.tobytes() for tile in inputs.values()):
            faults.append("tiles.bin differs")
        if (folder / "tensors.bin").read_bytes() != tensors.tobytes():
            faults.append("tensors.bin differs")
        for name, tile in inputs.items():
            if not np.array_equal(cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED), tile):
                faults.append(f"{name}.png differs")
        faults += _stale_update(folder / "update")
    except (OSError, ValueError, KeyError, TypeError) as error:
        faults = [f"unreadable: {error!r}"]
    return [f"{fault}; {remedy}" for fault in faults]


def _stale_update(folder: Path) -> list[str]:
    example = update_example()
    read = {name: (folder / name).read_bytes() for name in example}
    faults = [
        f"update/{name} differs" for name in ("model1.bin", "model2.bin", "public.key") if read[name] != example[name]
    ]
    trusted = [read["public.key"].decode().strip()]
    try:
        verify(read[MANIFEST], read[SIGNATURE], trusted)
        file = parse(read[MANIFEST]).files[0]
        patch = deltas.Delta(read["model.delta"], file.deltas[0].stride, file.size)
        if sha256(deltas.apply(read["model1.bin"], patch)) != file.sha256:
            faults.append("update/model.delta does not give model2.bin")
        base64.b64decode(trusted[0])
    except (UpdateError, deltas.DeltaError) as error:
        faults.append(f"update/: {error}")
    return faults
