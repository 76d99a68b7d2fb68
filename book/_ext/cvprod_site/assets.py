"""Make the theme's static files as small as what the pages use of them."""

import hashlib
import os
import re
import shutil
from importlib import metadata
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont

from cvprod_site import unused

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
SHEET = "styles/pydata-sphinx-theme.css"
FACES = {  # CSS family and weight -> the theme's font file
    ("Free", "900"): "fa-solid-900",
    ("Free", "400"): "fa-regular-400",
    ("Brands", "400"): "fa-brands-400",
}
UNUSED = (
    "_static/mathjax",
    "_static/locales",
    "_static/vendor",
    "_static/sphinx-thebe.css",
    "_static/sphinx-thebe.js",
    "_static/scripts/fontawesome.js",
    "_static/scripts/fontawesome.js.LICENSE.txt",
    "_static/webpack-macros.html",
    "_static/sbt-webpack-macros.html",
    "_static/images/logo_binder.svg",
    "_static/images/logo_colab.png",
    "_static/images/logo_deepnote.svg",
    "_static/images/logo_jupyterhub.svg",
    "_static/images/logo_jupyterlite.svg",
)
#: The one sheet that every page links, and what it is made of, in the order of the theme's links. Its first one,
#: styles/theme.css, does nothing but import basic.css, for which a page would wait once more.
BUNDLE = "styles/book.css"
SHEETS = (
    "basic.css",
    SHEET,
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "togglebutton.css",
    "copybutton.css",
    "mystnb.*.css",
    "custom.css",
)
ADDRESS = re.compile(r"""url\(\s*(['"]?)(?!data:|#|/|[a-z]+:)([^'")]+)\1\s*\)""")
#: The theme's script asks every block whether it scrolls, so that the keyboard can stop there, and sets what it found
#: before it asks the next: the whole page is laid out, once for each. Here a block is asked near the screen, and takes
#: it for granted until then: the keyboard passes over nothing that scrolls.
SCRIPT = "scripts/pydata-sphinx-theme.js"
STOPS = re.compile(r"\.forEach\((\w)=>\{\1\.tabIndex=([^{}]*\?0:-1)\}\)")
NEAR = """const tabStops = new IntersectionObserver(entries => {
  const near = entries.filter(entry => entry.isIntersecting).map(entry => entry.target);
  const stops = near.map(BLOCK => STOP);
  near.forEach((block, k) => { block.tabIndex = stops[k]; tabStops.unobserve(block); });
}, {rootMargin: "100%"});
"""
FONT_FACE = re.compile(r"@font-face\{[^}]*Font Awesome[^}]*\}")


def slim(app, exception: Exception | None) -> None:
    """After the build: one sheet of what pages use, a font of their icons, scripts that let them answer."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    for name in UNUSED:
        path = out / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    for path in static.rglob("*.map"):
        path.unlink()
    used = unused.names(out)
    sheet = unused.prune((THEME / SHEET).read_text(encoding="utf-8"), used)
    fonts = static / "fonts"
    fonts.mkdir(exist_ok=True)
    codes = {int(code, 16) for code in re.findall(r'"\\(f[0-9a-f]{3}|e[0-9a-f]{3}) ?"', sheet)}
    sheet = FONT_FACE.sub(lambda face: _face(face[0], codes, fonts), sheet)
    (static / SHEET).write_text(sheet, encoding="utf-8")
    bundle(static, used)
    script = static / SCRIPT
    script.write_text(patient(script.read_text(encoding="utf-8")), encoding="utf-8")
    for path in (*static.rglob("*.css"), *static.rglob("*.js")):
        text = path.read_text(encoding="utf-8")
        trimmed = re.sub(r"\n?(?:/\*|//)# sourceMappingURL=.*", "", text)
        if trimmed != text:
            path.write_text(trimmed, encoding="utf-8")


def bundle(static: Path, used: set[str]) -> None:
    """Put the sheets into one, so that a page waits for one answer and not for eight; classes in `used` are kept."""
    whole = []
    for pattern in SHEETS:
        for path in sorted(static.glob(pattern)):
            folder = path.parent

            def moved(address: re.Match[str], folder: Path = folder) -> str:
                there = os.path.relpath(folder / address[2], static / "styles")
                return f'url("{Path(there).as_posix()}")'

            whole.append(ADDRESS.sub(moved, path.read_text(encoding="utf-8")))
    text = unused.prune(re.sub(r"@charset [^;]*;|/\*.*?\*/", "", "\n".join(whole), flags=re.S), used)
    (static / BUNDLE).write_text(re.sub(r"\n\s*", "\n", text), encoding="utf-8")


def patient(script: str) -> str:
    """The theme's script, which asks only near the screen what scrolls; as it was where it does not ask."""
    found = STOPS.search(script)
    if not found:
        return script
    return NEAR.replace("BLOCK", found[1]).replace("STOP", found[2]) + STOPS.sub(
        ".forEach(block=>{block.tabIndex=0;tabStops.observe(block)})", script
    )


def mark(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Tell a page's template what changes with the sheet: the book's own part, and the versions of the others."""
    sheet = Path(app.srcdir) / "book/_static/custom.css"
    own = sheet.read_bytes() if sheet.is_file() else b""
    others = "".join(metadata.version(name) for name in ("pydata-sphinx-theme", "sphinx-book-theme", "myst-nb"))
    context["cv_sheet"] = hashlib.sha256(own + others.encode()).hexdigest()[:8]


def _face(rule: str, codes: set[int], fonts: Path) -> str:
    family = "Brands" if "Brands" in rule else "Free"
    weight = re.search(r"font-weight:(\d+)", rule)
    name = FACES[family, weight[1] if weight else "400"]
    font = TTFont(THEME / f"vendor/fontawesome/webfonts/{name}.ttf")
    wanted = codes & set(font.getBestCmap())
    if not wanted:
        return ""
    options = subset.Options(
        flavor="woff", desubroutinize=True, hinting=False, layout_features=[], notdef_outline=False
    )
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=wanted)
    cutter.subset(font)
    font.flavor = "woff"
    font.save(fonts / f"{name}.woff")
    head = re.sub(r"src:.*", "", rule).replace("font-display:block", "font-display:swap")
    return f'{head}src:url(../fonts/{name}.woff) format("woff")}}'
