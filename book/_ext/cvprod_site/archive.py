"""The whole site as one archive, to be read without a network. It lies on the site, so that readers can load it."""

import zipfile
from pathlib import Path

from cvprod_site import status

PLACE = Path("download/computer-vision-in-production.zip")
TOP = "computer-vision-in-production"
#: Already compressed: pressing it again takes time and saves nothing.
STORED = {".png", ".jpg", ".woff", ".woff2", ".gz", ".zip"}


def write(app, exception: Exception | None) -> None:
    """After everything else of the build: pack the site, without the archive itself."""
    if not exception and app.builder.format == "html" and status.whole(app):
        pack(Path(app.outdir))


def pack(site: Path) -> Path:
    """Write the archive; returns where. A reader never sees half of one."""
    target = site / PLACE
    target.parent.mkdir(exist_ok=True)
    half = target.with_suffix(".part")
    with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for path in sorted(site.rglob("*")):
            inside = path.relative_to(site)
            if not path.is_file() or path.parent == target.parent or inside.parts[0] in (".doctrees", "_sources"):
                continue
            how = zipfile.ZIP_STORED if path.suffix in STORED else zipfile.ZIP_DEFLATED
            archive.write(path, Path(TOP) / inside, compress_type=how)
    half.replace(target)
    return target
