"""The bootstrap cell, as Colab runs it: executed in a clean Python 3.12, with the package taken from this checkout."""

import functools
import http.server
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from cvprod import measure
from cvprod.book import notebooks
from cvprod.exercises.course import discover
from cvprod.repo import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PATHS = [*notebooks.committed(), *(exercise.source_path for exercise in discover())]
#: Seconds that the cell of an exercise with numpy may take; those after which this machine is given up.
LIGHT, HEAVY = 180, 600
UV = [sys.executable, "-m", "uv"]


def _extra(path):
    code = next(cell for cell in notebooks.read(path).cells if cell.cell_type == "code")
    return notebooks.bootstrap_extra(code)


def _names(requirements):
    """Extras of this package, and other packages, that a list of requirements names."""
    parsed = [Requirement(line) for line in requirements]
    own = {extra for one in parsed if one.name == "cvprod" for extra in one.extras}
    return own, {(one.name.lower(), frozenset(one.extras)) for one in parsed if one.name != "cvprod"}


@functools.cache
def installed_by(extras):
    """Names of all packages that "cvprod[extras]" brings, by what the installed ones say of themselves."""
    own, todo = set(extras.split(",")), {(None, None)}
    _, todo = _names(EXTRAS["dependencies"])
    seen_own = set()
    while own - seen_own:
        name = (own - seen_own).pop()
        seen_own.add(name)
        more, packages = _names(EXTRAS["optional-dependencies"][name])
        own, todo = own | more, todo | packages
    found = set()
    while todo:
        name, wanted = todo.pop()
        key = re.sub(r"[-_.]+", "-", name)
        if (key, wanted) in found:
            continue
        found.add((key, wanted))
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in map(Requirement, lines):
            environments = [{"extra": extra} for extra in (wanted or {""})]
            if line.marker is None or any(line.marker.evaluate(e) for e in environments):
                todo.add((line.name.lower(), frozenset(line.extras)))
    return {name for name, _ in found}


def imported(source, seen):
    """Top-level names of other packages that code imports when it runs, also through modules of this package."""
    import ast

    found = set()
    for node in _run_at_once(ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in modules:
            if name.split(".")[0] != "cvprod":
                found.add(name.split(".")[0])
                continue
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                base = ROOT.joinpath(*parts[:depth])
                path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
                if path.is_file() and path not in seen:
                    seen.add(path)
                    package = ".".join(parts[:depth] if base.is_dir() else parts[: depth - 1])
                    text = re.sub(
                        r"from \.(\w*) import", lambda m, p=package: f"from {p}.{m[1]} import", path.read_text()
                    )
                    found |= imported(text.replace(f"from {package}. import", f"from {package} import"), seen)
    return found - set(sys.stdlib_module_names)


def _run_at_once(node):
    """The nodes that run when a module does: nothing inside functions, nor what only a type checker reads."""
    import ast

    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run_at_once(child)


_distributions = functools.cache(importlib.metadata.packages_distributions)


def missing(path, extra):
    """What the cells of a notebook import and an extra does not bring: {name: packages that would}."""
    brought = installed_by(extra) | {"ipython", "jupyter-client"}  # where cells run, these are
    own = _distributions()
    sources = [
        cell.source
        for cell in notebooks.read(path).cells
        if cell.cell_type == "code" and not notebooks.hardware(cell) and notebooks.bootstrap_extra(cell) is None
    ]
    found = {}
    for name in imported("\n".join(sources), set()):
        dists = {re.sub(r"[-_.]+", "-", dist.lower()) for dist in own.get(name, [])}
        if dists and not dists & brought:
            found[name] = dists
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_extra_of_a_notebook_brings_what_its_cells_import(path):
    lacks = missing(path, _extra(path))
    assert not lacks, f"{path.name} names the extra {_extra(path)!r}, which does not bring {lacks}"


def test_an_exercise_that_needs_no_framework_installs_none():
    heavy = [exercise.source_path for exercise in discover() if _extra(exercise.source_path) != "base"]
    assert [path.name for path in heavy if not missing(path, "base")] == []


@pytest.mark.parametrize("extra", sorted({extra for path in PATHS for extra in _extra(path).split(",")}))
def test_extras_of_notebooks_exist(extra):
    assert extra in EXTRAS["optional-dependencies"]


def test_an_exercise_with_numpy_does_not_bring_a_framework():
    assert not {"torch", "onnx", "openvino", "tensorflow"} & installed_by("base")
    assert "torch" in installed_by("models")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_plain_pip_may_install_every_locked_version(python):
    """What a file says of the Pythons that it is for holds for pip; uv passes over the upper bound."""
    lock = (ROOT / "requirements.txt").read_text()
    refused = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE):
        try:
            wheel = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # of another system, or of another Python
            continue
        wanted = wheel.metadata.get("Requires-Python") or ""
        if wheel.version == version and not SpecifierSet(wanted).contains(f"{python}.99"):
            refused[f"{name}=={version}"] = wanted
    assert refused == {}


def _python312():
    """A Python 3.12, which Colab runs: uv's, the PATH's or pyenv's. Skips where there is none that runs."""
    found = subprocess.run([*UV, "python", "find", "--no-python-downloads", "3.12"], capture_output=True, text=True)
    candidates = [found.stdout.strip(), shutil.which("python3.12") or ""]
    candidates += map(str, Path("~/.pyenv/versions").expanduser().glob("3.12*/bin/python"))
    for candidate in filter(None, candidates):
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.startswith("Python 3.12."):
            return candidate
    pytest.skip("no Python 3.12 on this machine")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """This checkout as the repository's site offers it: an archive and the lock, over HTTP."""
    root = tmp_path_factory.mktemp("repository")
    git = functools.partial(subprocess.run, cwd=ROOT, capture_output=True, text=True, check=False)
    tree = git(["git", "stash", "create"]).stdout.strip() or "HEAD"  # with what is changed and not yet committed
    (root / "archive").mkdir()
    words = ["git", "archive", "--prefix=book-main/", "-o", str(root / "archive/main.tar.gz"), tree]
    if git(words).returncode:
        pytest.skip("this is no git checkout, so there is no archive of it")
    (root / "raw/main").mkdir(parents=True)
    shutil.copy(ROOT / "requirements.txt", root / "raw/main")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A clean Python 3.12 with IPython and an older numpy, as Colab's image has its own."""
    folder = tmp_path_factory.mktemp("colab")
    made = subprocess.run(
        [*UV, "venv", "--quiet", "--seed", "--python", _python312(), str(folder / "venv")],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    install = [*UV, "pip", "install", "--quiet", "--python", str(folder / "venv"), "ipython", "numpy<2.2"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip()[-200:]}")
    return folder / "venv/bin/python"


def run_cell(python, address, folder, source, *, timeout):
    """Execute a cell as IPython does, away from the checkout; what it printed."""
    (folder / "cell.ipy").write_text(source)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(python), "-m", "IPython", "cell.ipy"], cwd=folder, capture_output=True, text=True, timeout=timeout,
        check=False, env=environment | {"CVPROD_BOOK": address, "PYTHONNOUSERSITE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(900)
def test_the_cell_of_an_exercise_installs_the_locked_versions_and_no_framework(colab, address, tmp_path):
    begun = time.monotonic()
    said = run_cell(colab, address, tmp_path, "import numpy\n" + notebooks.bootstrap("base"), timeout=HEAVY)
    took = time.monotonic() - begun
    assert "Restart session" in said, "an older numpy was loaded before, and nobody was told"
    assert took < LIGHT or not measure.undisturbed(), f"{took:.0f} s"
    code = (
        "import importlib.metadata as m; print(m.version('numpy'), sorted(d.name.lower() for d in m.distributions()))"
    )
    listed = subprocess.run([str(colab), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    locked = re.search(r"^numpy==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    assert listed.startswith(f"{locked} ") and "'torch'" not in listed
    assert run_cell(colab, address, tmp_path, notebooks.bootstrap("base"), timeout=60).strip() == ""  # nothing to do
    light = [exercise for exercise in discover() if _extra(exercise.source_path) == "base"]
    assert len(light) > 5
    for exercise in light:  # solved, they run to their end with what is there
        cells = [cell.source for cell in exercise.source.cells if cell.cell_type == "code"][1:]
        run_cell(colab, address, tmp_path, "\n\n".join(cells), timeout=300)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", sorted({_extra(path) for path in PATHS} - {"base"}))
def test_the_extra_of_a_chapter_resolves_to_the_locked_versions_in_seconds(colab, address, extra):
    """What is installed is installed by the scheduled workflow: it is up to 7 GB."""
    words = [*UV, "pip", "install", "--dry-run", "--python", str(colab.parents[1])]
    words += [
        "--constraint",
        f"{address}/raw/main/requirements.txt",
        f"cvprod[{extra}] @ {address}/archive/main.tar.gz",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=HEAVY, check=False)
    assert done.returncode == 0, done.stderr
    planned = dict(re.findall(r"^ \+ (\S+)==(\S+)$", done.stderr, re.MULTILINE))
    lock = (ROOT / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    assert len(planned) > 30 and {n: v for n, v in planned.items() if pinned.get(n, v) != v} == {}
