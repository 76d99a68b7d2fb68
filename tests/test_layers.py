"""The layers of the package: imports go one way, no module is part of a circle, and planted faults are found."""

import graphlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

import cvprod
from cvprod.repo import ROOT

(CONTRACT,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LINT = (
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(is_debug_mode=False, cache_dir=None))"
)


def lint(root: Path) -> subprocess.CompletedProcess:
    """Check the contract of the project at `root` on the package that lies there."""
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=root, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip


def circle(graph: grimp.ImportGraph) -> list[str] | None:
    """Modules that import each other in a circle, or None."""
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        tuple(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        return error.args[1]
    return None


@pytest.fixture
def copy(tmp_path):
    """A copy of the package's modules and of the project's settings, free to break."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path in (ROOT / "cvprod").rglob("*.py"):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_imports_go_down_the_layers():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("surface/view.py", "from cvprod.serving import engine"),
        ("serving/auth.py", "import cvprod.book.build"),
        ("measure.py", "def late():\n    from cvprod.display import plots"),
    ],
)
def test_a_planted_import_upwards_is_caught(copy, module, line):
    path = copy / "cvprod" / module
    assert path.is_file()
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1 and "BROKEN" in done.stdout, done.stdout + done.stderr


def test_a_new_folder_must_be_given_its_place(copy):
    (copy / "cvprod/attic").mkdir()
    (copy / "cvprod/attic/__init__.py").touch()
    done = lint(copy)
    assert done.returncode == 1 and "attic" in done.stdout


def test_no_modules_import_each_other_in_a_circle():
    graph = grimp.build_graph("cvprod", cache_dir=None, exclude_type_checking_imports=True)
    assert circle(graph) is None


def test_a_planted_circle_is_found():
    graph = grimp.ImportGraph()
    for a, b in (("a", "b"), ("b", "c"), ("c", "d")):
        graph.add_import(importer=a, imported=b)
    assert circle(graph) is None
    graph.add_import(importer="c", imported="a")
    assert set(circle(graph)) == {"a", "b", "c"}


def test_the_package_tells_the_same_order():
    """Whoever reads `cvprod/__init__.py` finds every layer there, the lower ones first."""
    told = re.findall(r"`(\w+)`", cvprod.__doc__.partition("\n* ")[2])
    layers = [[name.strip(" ()") for name in line.split(":")] for line in reversed(CONTRACT["layers"])]
    rank = {name: number for number, names in enumerate(layers) for name in names}
    there = {
        path.stem for path in (ROOT / "cvprod").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__"} <= set(told) <= set(rank)
    assert [rank[name] for name in told] == sorted(rank[name] for name in told)
    assert "cvprod/__init__.py" in (ROOT / "CONTRIBUTING.md").read_text()
