"""What capstone 3 draws from a seed: a plant's folder of images, converted models, records and canaries.

The tiles are the book's own (`cvprod.surface`), the logits were recorded from real engines (`plant_recording`), and a
record has the fields that the service writes (`cvprod.serving.records`). The same seed draws the same case everywhere.
"""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from cvprod.serving.descriptors import describe
from cvprod.surface import CLASSES, make_set

POOL, SEED, CONDITIONS = 280, 1903, "routine"
RECORDING = Path(__file__).with_name("plant.json")
#: Why a file does not come in, and the two ways to come in. `inspect`: a person looks at its label first.
VERDICTS = ("keep", "repair", "inspect", "litter", "unreadable", "contradiction", "duplicate", "class too small")
LITTER = ("Thumbs.db", ".DS_Store", "desktop.ini", "__MACOSX/{place}._{name}", "{place}.{name}.icloud")
_ROTATED = {3: 2, 6: 3, 8: 1}  # EXIF orientation -> quarter turns that the camera was held by, counter-clockwise


@cache
def pool() -> tuple[np.ndarray, np.ndarray]:
    """The plant's tiles, uint8 (POOL, 96, 96), and their true labels, int (POOL,)."""
    tiles = make_set(POOL, SEED, conditions=CONDITIONS)
    return tiles.images[:, 0], tiles.labels


@cache
def recorded() -> dict[str, np.ndarray]:
    """Logits float (POOL, 7) of the same network in several engines, by the engine's name."""
    return {name: np.array(rows) for name, rows in json.loads(RECORDING.read_text()).items()}


# --- a delivery ------------------------------------------------------------------------------------------------------


def _png(image: Image.Image, **more) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, **more)
    return file.getvalue()


def _odd(tile: np.ndarray, kind: str) -> bytes:
    """The tile as another program or camera stores it."""
    grey = Image.fromarray(tile)
    if kind in ("RGB", "RGBA", "LA", "P"):
        return _png(grey.convert(kind))
    if kind == "16 bits":
        return _png(Image.fromarray(tile.astype(np.uint16) * 257))
    if kind == "12 bits":
        return _png(Image.fromarray(tile.astype(np.uint16) * 16 + 7))
    orientation = int(kind)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _png(Image.fromarray(np.rot90(tile, -_ROTATED[orientation])), exif=exif)


def delivery(seed: int) -> tuple[dict[str, bytes], dict[str, dict]]:
    """A folder as it comes from a plant, and the truth about it.

    Returns:
        files: path -> bytes, such as "train/scratches/coil3-017.png"; in no order.
        truth: path -> {"verdict", "tile", "label"}: one of VERDICTS, the number of the tile in `pool` (None where there
            is no picture) and its true class. The verdict "inspect" marks the wrong labels that were planted.
    """
    rng = np.random.default_rng([seed, 31])
    tiles, labels = pool()
    files: dict[str, bytes] = {}
    truth: dict[str, dict] = {}
    classes = [int(c) for c in rng.choice(len(CLASSES), 5, replace=False)]
    small = classes[-1]

    def put(tile: int, folder: int, verdict: str, data: bytes, side: str | None = None, ending: str = "png") -> str:
        side = side or ("test" if rng.random() < 0.25 else "train")
        while (path := f"{side}/{CLASSES[folder]}/coil{rng.integers(1, 9)}-{rng.integers(1000):03d}.{ending}") in files:
            pass
        files[path] = data
        truth[path] = {"verdict": verdict, "tile": tile, "label": CLASSES[labels[tile]]}
        return path

    unused = {c: [int(i) for i in rng.permutation(np.flatnonzero(labels == c))] for c in range(len(CLASSES))}
    for c in classes:
        verdict = "class too small" if c == small else "keep"
        for _ in range(int(rng.integers(5, 8)) if c == small else int(rng.integers(18, 24))):
            tile = unused[c].pop()
            put(tile, c, verdict, _png(Image.fromarray(tiles[tile])))
    poor = [path for path, about in truth.items() if about["verdict"] == "class too small"]
    for path in poor[:3]:  # copies make the small class look larger than it is
        copy = put(truth[path]["tile"], small, "duplicate", files[path])
        first, second = sorted((path, copy))
        truth[first]["verdict"], truth[second]["verdict"] = "class too small", "duplicate"
    large = classes[:-1]
    for kind in ("RGB", "RGBA", "LA", "P", "16 bits", "12 bits", "3", "6", "8", "RGB", "6"):
        tile = unused[c := int(rng.choice(large))].pop()
        put(tile, c, "repair", _odd(tiles[tile], kind))
    kept = [path for path, about in truth.items() if about["verdict"] == "keep"]
    for path in rng.permutation(kept)[:8]:  # the same picture once more, on either side, some under another mode
        tile, c = truth[path]["tile"], CLASSES.index(path.split("/")[1])
        data = files[path] if rng.random() < 0.5 else _odd(tiles[tile], str(rng.choice(["RGB", "16 bits", "6"])))
        copy = put(tile, c, "duplicate", data, side="test" if path.startswith("train") else "train")
        first, second = sorted((path, copy))
        truth[first]["verdict"] = "repair" if files[first] != _png(Image.fromarray(tiles[tile])) else "keep"
        truth[second]["verdict"] = "duplicate"
    confident = recorded()["PyTorch"].max(1) - np.partition(recorded()["PyTorch"], -2, axis=1)[:, -2] > 4
    right = recorded()["PyTorch"].argmax(1) == labels
    for _ in range(2):  # one picture in two classes' folders: nobody knows which of them is right
        one, other = (int(c) for c in rng.choice(large, 2, replace=False))
        tile = unused[one].pop()
        for folder in (one, other):
            put(tile, folder, "contradiction", _png(Image.fromarray(tiles[tile])))
    planted = 0
    while planted < 6:
        one, other = (int(c) for c in rng.choice(large, 2, replace=False))
        tile = unused[one].pop()
        if confident[tile] and right[tile]:
            put(tile, other, "inspect", _png(Image.fromarray(tiles[tile])))
            planted += 1
    for kind in ("cut", "text", "empty"):
        tile = unused[c := int(rng.choice([*large, small]))].pop()
        whole = _png(Image.fromarray(tiles[tile]))
        data = {"cut": whole[: len(whole) // 2], "text": b"404 Not Found\n", "empty": b""}[kind]
        truth[put(tile, c, "unreadable", data)]["tile"] = None
    for pattern in LITTER:
        place, _, name = str(rng.choice(kept)).rpartition("/")
        path = pattern.format(place=f"{place}/", name=name)
        path = path if "/" in path else f"{place}/{path}"
        files[path], truth[path] = b"\x00\x05\x16\x07litter", {"verdict": "litter", "tile": None, "label": None}
    order = [list(files)[i] for i in rng.permutation(len(files))]
    return {path: files[path] for path in order}, truth


# --- tiles of coils --------------------------------------------------------------------------------------------------


def coils(seed: int, groups: int = 36) -> tuple[list[dict], list[int]]:
    """Tiles of many coils, and the group of each, which nobody is told.

    A tile is {"picture": uint8 (96, 96), "label", "coil", "parent"}: `parent` is the coil that this one was slit from,
    or None. Tiles belong together whose coils are the same or slit from the same, or that show the same picture, also
    mirrored left to right; and whatever hangs together over a third.
    """
    rng = np.random.default_rng([seed, 32])
    images, labels = pool()
    unused = iter(rng.permutation(POOL))
    found, group_of, last = [], [], None
    for group in range(groups):
        name = f"C{seed % 97:02d}{group:02d}"
        names = [(name, None)]
        kind = rng.integers(4)
        if kind == 1:  # slit in two; the coil itself may have no tile at all
            names = [(f"{name}{half}", name) for half in "ab"]
        elif kind == 2:  # slit, and one half once more
            names = [(f"{name}a", name), (f"{name}a1", f"{name}a"), (f"{name}b", name)]
        tiles = []
        for coil, parent in names:
            for _ in range(int(rng.integers(2, 5)) if len(names) == 1 else 2):
                i = int(next(unused))
                tiles.append({"picture": images[i], "label": CLASSES[labels[i]], "coil": coil, "parent": parent})
        if kind == 3 and last is not None:  # a tile of another coil was filed under this one as well
            borrowed = last["picture"] if rng.random() < 0.5 else last["picture"][:, ::-1]
            tiles.append({"picture": borrowed, "label": last["label"], "coil": name, "parent": None})
            group_of += [group_of[-1]] * len(tiles)
        else:
            group_of += [group] * len(tiles)
        found += tiles
        last = tiles[0]
    order = rng.permutation(len(found))
    return [found[i] for i in order], [group_of[i] for i in order]


# --- two runtimes ----------------------------------------------------------------------------------------------------


def conversion(seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Logits of the reference and of a converted model on 200 tiles, and what is wrong ("" where nothing is)."""
    rng = np.random.default_rng([seed, 33])
    engines = recorded()
    rows = rng.permutation(POOL)[:200]
    reference = engines["PyTorch"][rows]
    if rng.random() < 0.5:
        candidate = engines[str(rng.choice(["ONNX Runtime", "ONNX Runtime INT8"]))][rows]
        return reference, candidate + rng.normal(0, 0.02, candidate.shape), ""
    wrong = str(rng.choice(["engine", "one class", "not finite", "rows", "scale"]))
    candidate = engines["ONNX Runtime"][rows].copy()
    if wrong == "engine":
        candidate = engines[str(rng.choice(["INT8, calibrated in the dark", "ONNX Runtime, nearest pixel"]))][rows]
    elif wrong == "one class":  # its logit is lowered, so that a third to all of its tiles get another name
        c = int(rng.integers(len(CLASSES)))
        mine = np.flatnonzero(reference.argmax(1) == c)
        for row in rng.permutation(mine)[: max(4, round(len(mine) * rng.uniform(0.35, 1)))]:
            candidate[row, c] = np.delete(candidate[row], c).min()
    elif wrong == "not finite":
        candidate[rng.integers(200), rng.integers(len(CLASSES))] = rng.choice([np.nan, np.inf, -np.inf])
    elif wrong == "rows":  # a batch came back in another order
        first = int(rng.integers(0, 168))
        candidate[first : first + 32] = np.roll(candidate[first : first + 32], 1, axis=0)
    elif wrong == "scale":  # the classes are right, the probabilities are not
        candidate = candidate * rng.choice([0.05, 0.1, 0.2])
    return reference, candidate, wrong


# --- records of a line -----------------------------------------------------------------------------------------------


@cache
def _described() -> np.ndarray:
    """Descriptors of the pool in units of their own spread, float (POOL, 8)."""
    values = describe(pool()[0]).astype(float)
    return (values - values.mean(0)) / values.std(0)


def history(seed: int) -> tuple[list[dict], list[dict], float, set[int]]:
    """A night's candidates for the drift reference, the live records, when the change began, and the leaks.

    A record is {"time", "request_id", "coil", "descriptors"}. `leaks` are the places of the candidates that may not be
    in a reference: live pictures under another request, coils that are on the line now, records from the change on.
    """
    rng = np.random.default_rng([seed, 34])
    rows, leaks = [], set()
    since = 500.0
    for coil in range(26):
        offset = rng.normal(0, 0.5, 8)
        tiles = rng.choice(POOL, 20, replace=False)
        rows += [
            _record(rng, 20.0 * coil + rng.uniform(0, 20), f"C{coil:03d}", _described()[k] + offset) for k in tiles
        ]
    shift = rng.normal(0, 0.5, 8) + _change(rng)
    tiles = rng.choice(POOL, 40, replace=False)
    live = [_record(rng, rng.uniform(520, 540), "C900", _described()[k] + shift) for k in tiles]
    for row in live[:12]:  # the archive re-encoded them: another request, almost the same numbers
        near = (np.array(row["descriptors"]) + rng.uniform(-2e-4, 2e-4, 8)).round(5).tolist()
        rows.append(_record(rng, rng.uniform(0, 490), f"C{rng.integers(26):03d}", near))
    tiles = rng.choice(POOL, 8, replace=False)  # the beginning of the coil that is on the line now
    rows += [_record(rng, rng.uniform(470, 499), "C900", _described()[k] + shift) for k in tiles]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    live_values = np.array([row["descriptors"] for row in live])
    for i, row in enumerate(rows):
        twin = (np.abs(live_values - np.array(row["descriptors"])).max(1) < 1e-3).any()
        if row["time"] >= since or row["coil"] == "C900" or twin:
            leaks.add(i)
    return rows, live, since, leaks


def window(seed: int, changed: bool, n: int = 20) -> list[dict]:
    """n live records of one coil that is in nobody's reference; `changed`: after a change of the line."""
    rng = np.random.default_rng([seed, 35, changed])
    offset = rng.normal(0, 0.5, 8) + (_change(rng) if changed else 0)
    return [_record(rng, 600.0, "C990", _described()[k] + offset) for k in rng.choice(POOL, n, replace=False)]


def _change(rng: np.random.Generator) -> np.ndarray:
    moved = np.zeros(8)
    moved[rng.choice(8, 3, replace=False)] = rng.choice([-1, 1], 3) * 3.2
    return moved


def _record(rng: np.random.Generator, time: float, coil: str, descriptors: object) -> dict:
    name = "".join(rng.choice(list("0123456789abcdef"), 12))
    return {"time": round(float(time), 3), "request_id": name, "coil": coil,
            "descriptors": [round(float(v), 5) for v in np.asarray(descriptors)]}  # fmt: skip


# --- a canary --------------------------------------------------------------------------------------------------------

GOOD = ("equal", "better", "incident", "noisy")
BAD = ("wrong", "very wrong", "failing", "slow", "leaking", "wrong and quick")
UNKNOWN = ("dead", "unlabelled")
LOOKS = 72


def version(kind: str, seed: int, looks: int = LOOKS) -> list[dict]:
    """Twelve hours of a canary, one look every ten minutes.

    A look is {"stable": counts, "canary": counts, "d": list}: counts are {"requests", "failed", "slow"} of this look,
    and `d` has an entry for each tile that both were shown: 1 where only the canary was wrong, -1 where only the
    stable version was, 0 where they fared alike, None where it is not known yet.
    """
    if kind not in GOOD + BAD + UNKNOWN:
        raise ValueError(f"no version {kind!r}; there are {', '.join(GOOD + BAD + UNKNOWN)}")
    rng = np.random.default_rng([seed, 36, (GOOD + BAD + UNKNOWN).index(kind)])
    drop = {"wrong": rng.uniform(0.05, 0.08), "very wrong": rng.uniform(0.2, 0.3), "wrong and quick": 0.06,
            "better": -0.02, "unlabelled": 0.1}.get(kind, 0.0)  # fmt: skip
    flips = {"noisy": 0.03, "wrong": 0.02, "better": 0.025}.get(kind, 0.02)
    failed, slow = (0.02 if kind == "failing" else 0.001), (rng.uniform(0.05, 0.1) if kind == "slow" else 0.01)
    incident, leak = int(rng.integers(4, 30)), int(rng.integers(8, 24))
    found = []
    for look in range(looks):
        both = 0.12 if kind == "incident" and incident <= look < incident + 3 else 0.0
        drag = 0.02 * (look - leak) if kind == "leaking" and look > leak else 0.0
        counts = {}
        for name, mean, p_failed, p_slow in (
            ("stable", 5700, 0.001 + both, 0.01 + both),
            ("canary", 0 if kind == "dead" else 300, failed + both, min(0.9, slow + both + drag)),
        ):
            n = int(rng.poisson(mean))
            if kind == "wrong and quick" and name == "canary":
                p_slow = 0.0
            counts[name] = {
                "requests": n, "failed": int(rng.binomial(n, p_failed)), "slow": int(rng.binomial(n, p_slow))
            }  # fmt: skip
        u = rng.random(0 if kind == "dead" else 40)
        worse, better = max(drop, 0.0) + flips, max(-drop, 0.0) + flips
        d: list = np.where(u < worse, 1, np.where(u < worse + better, -1, 0)).tolist()
        if kind == "unlabelled":
            d = [None if x else 0 for x in d]
        found.append({**counts, "d": d})
    return found
