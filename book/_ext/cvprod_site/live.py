"""The files that the live model needs: ONNX Runtime Web, the shipped model with its card, and a tile of each class.

The runtime (``ort.wasm.bundle.min.mjs`` and ``ort-wasm-simd-threaded.wasm`` of the npm package onnxruntime-web, MIT
licence, Microsoft Corporation) lies beside this file as it was published, gzipped. It is packed into a script, as the
model is: a page that was opened from a file may load scripts and nothing else.
"""

import base64
import hashlib
import itertools
import json
from pathlib import Path

import cv2
import numpy as np

RUNTIME = Path(__file__).parent / "runtime"
FILES = {"ort": "ort.wasm.bundle.min.mjs.gz", "wasm": "ort-wasm-simd-threaded.wasm.gz"}
PATCH, STRIDE, SIGMA = 16, 8, 12
PLACE = Path("_static/live")


def write(app, exception: Exception | None) -> None:
    """After the build: `runtime.js` and `model.js` beside the scripts that use them."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir) / PLACE
    folder.mkdir(parents=True, exist_ok=True)
    packed = {name: _text((RUNTIME / file).read_bytes()) for name, file in FILES.items()}
    _keep(folder / "runtime.js", f"globalThis.cvprodRuntime = {json.dumps(packed)};\n")
    _keep(folder / "model.js", f"globalThis.cvprodModel = {json.dumps(shipped(Path(app.outdir).parent))};\n")


def shipped(cache: Path) -> dict:
    """What the page is told: the card, the model (base64), tiles as PNG, and two sentences with measured numbers."""
    from cvprod.serving.settings import DEFAULT_MODEL, Settings
    from cvprod.surface import CLASSES, make_tile
    from cvprod.surface.conditions import NOMINAL

    card = json.loads(DEFAULT_MODEL.read_text())
    model = (DEFAULT_MODEL.parent / card["file"]).resolve().read_bytes()
    tiles = [{"label": label, "png": _png(make_tile(label, 11, conditions=NOMINAL).image)} for label in CLASSES]
    card = {key: card[key] for key in ("version", "sha256", "classes", "temperature", "self_test")}
    return {
        "card": card,
        "model": _text(model),
        "tiles": tiles,
        "review_below": Settings().review_below,
        "occlusion": _hit_rate(cache, card["sha256"]),
        "reference": _reference(),
    }


def occlusion(run, tile: np.ndarray) -> np.ndarray:
    """How much the winner's logit falls where a square of the tile is replaced by its blurred self.

    The same as `Inspector.occlusion` in the page. Method: Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", 2014.

    Args:
        run: the network, uint8 (n, 1, 96, 96) to logits (n, classes).
        tile: uint8 (96, 96).

    Returns:
        float64 (96, 96), >= 0.
    """
    side = tile.shape[0]
    veil = np.rint(cv2.GaussianBlur(tile.astype(np.float64), (0, 0), SIGMA, borderType=cv2.BORDER_REFLECT_101))
    base = run(tile[None, None])[0]
    places = [(y, x) for y in range(0, side - PATCH + 1, STRIDE) for x in range(0, side - PATCH + 1, STRIDE)]
    batch = np.repeat(tile[None], len(places), 0)
    for row, (y, x) in zip(batch, places, strict=True):
        row[y : y + PATCH, x : x + PATCH] = veil[y : y + PATCH, x : x + PATCH]
    logits = run(batch[:, None])
    fall, seen = np.zeros((side, side)), np.zeros((side, side))
    for (y, x), answer in zip(places, logits, strict=True):
        fall[y : y + PATCH, x : x + PATCH] += base.max() - answer[base.argmax()]
        seen[y : y + PATCH, x : x + PATCH] += 1
    return np.maximum(0, fall / np.maximum(seen, 1))


def hit_rate(n: int = 60, *, largest: float = 0.25) -> dict:
    """How often the hottest place lies in a defect's box, and how often a random place would.

    Over `n` tiles whose boxes cover at most the share `largest` of the tile: where a defect is everywhere, every place
    is right.
    """
    from cvprod.serving.model import Model
    from cvprod.serving.settings import DEFAULT_MODEL
    from cvprod.surface import DEFECTS, INPUT_SIZE, make_tile, to_input
    from cvprod.surface.conditions import NOMINAL

    model, hits, chance = Model.load(DEFAULT_MODEL), [], []
    for seed in itertools.count(500):
        tile = make_tile(DEFECTS[seed % len(DEFECTS)], seed, conditions=NOMINAL)
        inside = np.zeros((INPUT_SIZE, INPUT_SIZE), bool)
        for x0, y0, x1, y1 in (tile.boxes * INPUT_SIZE / tile.image.shape[0]).round().astype(int):
            inside[y0:y1, x0:x1] = True
        if inside.mean() <= largest:
            heat = occlusion(model.run, to_input(tile.image))
            hits.append(bool(inside[np.unravel_index(heat.argmax(), heat.shape)]))
            chance.append(float(inside.mean()))
        if len(hits) == n:
            break
    return {"n": n, "hits": float(np.mean(hits)), "chance": float(np.mean(chance))}


def _hit_rate(cache: Path, digest: str) -> dict:
    kept = cache / "live_occlusion.json"
    key = hashlib.sha256((digest + Path(__file__).read_text()).encode()).hexdigest()
    found = json.loads(kept.read_text()) if kept.is_file() else {}
    if found.get("key") != key:
        found = {"key": key} | hit_rate()
        kept.write_text(json.dumps(found))
    says = (
        f"On {found['n']} generated tiles with a small defect the hottest place lay on the defect in "
        f"{found['hits']:.0%}; a random place would in {found['chance']:.0%}."
    )
    return {"says": says}


def _reference() -> str:
    """The same model in Python, as chapter 2 has measured it in this build; nothing where it has not run."""
    from cvprod import ledger

    rows = ledger.read(2)
    rows = rows[rows["name"].str.contains("pipeline") & rows["p50_ms"].notna()] if len(rows) else rows
    if not len(rows):
        return ""
    best = rows.loc[rows["p50_ms"].idxmin()]
    return f"ONNX Runtime in Python on the machine that built this book: p50 {best['p50_ms']:.2f} ms."


def _png(grey: np.ndarray) -> str:
    return _text(cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _keep(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)
