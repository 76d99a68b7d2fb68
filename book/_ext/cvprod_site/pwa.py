"""The live model as an app that can be installed: a manifest, icons, and a worker that keeps what the demo needs.

The worker answers for the demo's own files alone; every other page goes to the network as if there were none. It also
gives the demo's page the two headers (COOP, COEP) that isolate it, so that its clock is finer: static hosts set none.
"""

import hashlib
import json
from pathlib import Path
from string import Template

import cv2
import numpy as np

PAGE = "book/live.html"
#: What the page loads, as patterns below the site's root; the page itself stands first.
NEEDED = (
    PAGE,
    "_static/styles/book.css",
    "_static/fonts/*.woff",
    "_static/*.svg",
    "_static/live/*.js",
    "_static/live/*.png",
    "_static/scripts/*.js",
    "_static/documentation_options.js",
    "_static/doctools.js",
    "_static/sphinx_highlight.js",
    "manifest.webmanifest",
)
ICONS = (192, 512)
WORKER = Template("""\
// Written by the build (book/_ext/cvprod_site/pwa.py). Keeps the demo, and nothing else of the site, for use offline.
"use strict";
const CACHE = "cvprod-live-$version", PAGE = "$page";
const FILES = new Set($files.map(name => new URL(name, registration.scope).href));

addEventListener("install", event => event.waitUntil((async () => {
  const cache = await caches.open(CACHE);
  await Promise.all([...FILES].map(async url => {
    const answer = await fetch(url, { cache: "reload" });
    if (!answer.ok) throw new Error(`$${url}: $${answer.status}`);
    await cache.put(url, answer);
  }));
  await skipWaiting();
})()));

addEventListener("activate", event => event.waitUntil((async () => {
  const old = (await caches.keys()).filter(name => name.startsWith("cvprod-live-") && name !== CACHE);
  await Promise.all(old.map(name => caches.delete(name)));
  await clients.claim();
})()));

addEventListener("fetch", event => {
  const url = new URL(event.request.url);
  url.search = url.hash = "";
  if (event.request.method !== "GET" || !FILES.has(url.href)) return;
  event.respondWith((async () => {
    const kept = (await (await caches.open(CACHE)).match(url.href)) || (await fetch(event.request));
    if (!url.pathname.endsWith(PAGE) || kept.type === "opaqueredirect") return kept;
    const headers = new Headers(kept.headers);
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cross-Origin-Embedder-Policy", "require-corp");
    return new Response(kept.body, { status: kept.status, statusText: kept.statusText, headers });
  })());
});
""")


def write(app, exception: Exception | None) -> None:
    """After the build: icons, manifest and worker, if the page is there."""
    out = Path(app.outdir)
    if exception or app.builder.format != "html" or not (out / PAGE).is_file():
        return
    for side in ICONS:
        cv2.imwrite(str(out / f"_static/live/icon-{side}.png"), icon(side))
    (out / "manifest.webmanifest").write_text(json.dumps(manifest(), indent=1))
    (out / "sw.js").write_text(worker(out))


def manifest() -> dict:
    """What an installed app is called, looks like and opens."""
    icons = [{"src": f"_static/live/icon-{s}.png", "sizes": f"{s}x{s}", "type": "image/png"} for s in ICONS]
    return {
        "name": "Steel inspector, from Computer Vision in Production",
        "short_name": "Steel inspector",
        "description": "A seven-class INT8 network for steel strip, on this device alone.",
        "id": PAGE,
        "start_url": PAGE,
        "scope": "./",
        "display": "standalone",
        "background_color": "#14181e",
        "theme_color": "#0a5cad",
        "icons": icons,
    }


def icon(side: int) -> np.ndarray:
    """BGR uint8 (side, side, 3): a scratched tile, with a frame around what the inspector finds."""
    from cvprod.surface import make_tile
    from cvprod.surface.conditions import NOMINAL

    grey = cv2.resize(make_tile("scratches", 11, conditions=NOMINAL).image, (side, side), interpolation=cv2.INTER_CUBIC)
    made = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    edge, width = side // 6, max(2, side // 24)
    cv2.rectangle(made, (edge, edge), (side - edge, side - edge), (16, 97, 221), width, cv2.LINE_AA)
    return made


def needed(site: Path) -> list[str]:
    """The demo's files that this site has, relative to its root."""
    return [path.relative_to(site).as_posix() for pattern in NEEDED for path in sorted(site.glob(pattern))]


def worker(site: Path) -> str:
    """The service worker: another one as soon as one of its files changes."""
    files = needed(site)
    digest = hashlib.sha256(WORKER.template.encode())
    for name in files:
        digest.update(name.encode() + (site / name).read_bytes())
    return WORKER.substitute(version=digest.hexdigest()[:12], page=PAGE, files=json.dumps(files))
