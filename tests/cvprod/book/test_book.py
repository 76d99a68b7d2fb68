"""What `make book` clears up and executes before it builds."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from cvprod.book import build, failures, notebooks
from cvprod.repo import ROOT


def test_the_leftover_of_a_failed_build_goes_and_a_good_folder_stays(tmp_path):
    static = tmp_path / "_build/html/_static"
    static.parent.mkdir(parents=True)
    build.forget_failed_build(tmp_path)  # nothing there
    static.write_text("<svg/>")
    build.forget_failed_build(tmp_path)
    assert not static.exists()
    static.mkdir()
    (static / "style.css").touch()
    build.forget_failed_build(tmp_path)
    assert (static / "style.css").is_file()


def test_executed_chapters_are_dropped_when_something_changes_that_they_read(tmp_path):
    for name in ("cvprod/code.py", "deploy/haproxy/haproxy.cfg", "requirements.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    kept = tmp_path / "_build/.jupyter_cache/global.db"
    assert build.drop_stale_cache(tmp_path)
    kept.parent.mkdir()
    kept.touch()
    assert not build.drop_stale_cache(tmp_path) and kept.exists()
    (tmp_path / "deploy/haproxy/haproxy.cfg").write_text("new")
    assert build.drop_stale_cache(tmp_path) and not kept.exists()


@pytest.mark.parametrize(("set_to", "expected"), [(None, build.SPIN[1]), ("7", "7")])
def test_chapters_run_with_threads_that_sleep_soon(tmp_path, monkeypatch, set_to, expected):
    monkeypatch.delenv(build.SPIN[0], raising=False)
    if set_to:
        monkeypatch.setenv(build.SPIN[0], set_to)
    program = tmp_path / "jupyter-book"
    program.write_text(f'#!/bin/sh\ntest "${build.SPIN[0]}" = {expected} && test -n "$PATH"\n')
    program.chmod(0o755)
    monkeypatch.setattr(build.sysconfig, "get_path", lambda name: str(tmp_path))
    assert build.build(tmp_path) == (0, [])


def test_files_that_notebooks_read_are_among_them():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    paths = [path for group in data.values() for path in group]
    assert paths and all(path.split("/")[0] in build.INPUTS for path in paths)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A reader's folder of images, and the digest's root beside it."""
    top = tmp_path / "tiles"
    for name in ("good/1.png", "scratches/1.png", "scratches/2.png"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"image")
    monkeypatch.setenv("CVPROD_DATA", str(top))
    return top


def _later(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "good/2.png").write_bytes(b"image"),
        lambda top: (top / "good/1.png").unlink(),
        lambda top: (top / "good/1.png").write_bytes(b"another image"),
        lambda top: _later(top / "good/1.png"),
        lambda top: (top / "scratches/2.png").rename(top / "good/2.png"),
        lambda top: (top / "good").rename(top / "Good"),
        lambda top: (top / "unknown").mkdir(),
        lambda top: shutil.rmtree(top),
    ],
)
def test_chapters_run_again_when_the_readers_images_change(tmp_path, images, change):
    before = build.inputs_digest(tmp_path)
    assert build.inputs_digest(tmp_path) == before
    change(images)
    assert build.inputs_digest(tmp_path) != before


def test_what_the_loader_passes_over_runs_no_chapter_again(tmp_path, images):
    before = build.inputs_digest(tmp_path)
    (images / ".DS_Store").touch()
    (images / "good/.DS_Store").touch()
    (images / ".trash").mkdir()
    (images / ".trash/old.png").touch()
    assert build.inputs_digest(tmp_path) == before


@pytest.mark.parametrize("place", ["/nowhere", "~nobody-of-this-name/tiles", "nowhere", "~"])
def test_odd_places_for_images_are_no_crash(tmp_path, monkeypatch, place):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CVPROD_DATA", place)
    (tmp_path / "broken").symlink_to("nothing")
    assert len(build.inputs_digest(tmp_path)) == 64


def test_a_relative_place_starts_where_the_chapters_run(tmp_path, images, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("CVPROD_DATA", "../tiles")
    before = build.inputs_digest(tmp_path)
    (images / "good/1.png").unlink()
    assert build.inputs_digest(tmp_path) != before


def test_images_are_listed_and_not_read(tmp_path, images, monkeypatch):
    """There may be ten thousand, and an unchanged `make book` takes seconds."""
    before = build.inputs_digest(tmp_path)
    for name in ("open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, name, lambda *_, **__: pytest.fail("an image was read"))
    assert build.inputs_digest(tmp_path) == before


@pytest.fixture
def chapters(tmp_path):
    """A root with two notebooks, of which the first has been executed."""
    (tmp_path / "notebooks").mkdir()
    paths = [tmp_path / f"notebooks/0{n}_chapter.ipynb" for n in (1, 2)]
    for number, path in enumerate(paths):
        notebooks.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"{number}")]), path)
    cache = get_cache(str(tmp_path / "_build/.jupyter_cache"))
    cache.cache_notebook_bundle(CacheBundleIn(notebooks.read(paths[0]), str(paths[0])), check_validity=False)
    return paths


def test_a_chapter_is_executed_until_its_text_changes(tmp_path, chapters):
    assert build.not_executed(tmp_path) == chapters[1:]
    notebooks.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("2")]), chapters[0])
    assert build.not_executed(tmp_path) == chapters
    shutil.rmtree(tmp_path / "_build")
    assert build.not_executed(tmp_path) == chapters


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_several_chapters_run_side_by_side_and_what_failed_there_once_more_alone(
    tmp_path, chapters, monkeypatch, capfd, missing, status
):
    program = tmp_path / "jupyter-book"
    program.write_text(f"#!/bin/sh\necho built\nexit {status}\n")
    program.chmod(0o755)
    together, alone = [], []
    monkeypatch.setattr(build.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(build, "drop_stale_cache", lambda root: False)
    monkeypatch.setattr(build, "not_executed", lambda root: chapters[:missing])
    monkeypatch.setattr(build, "execute", lambda paths, root: together.append(paths))  # keeps nothing: both fail
    monkeypatch.setattr(build, "execute_alone", lambda path, root: alone.append(path) or [])
    shutil.rmtree(tmp_path / "_build")
    assert build.build(tmp_path) == (status, [])
    assert together == ([chapters] if missing > 1 else []) and alone == chapters[:missing]
    assert capfd.readouterr().out.endswith("built\n")


def test_executing_says_whether_every_cell_passed(tmp_path, chapters, monkeypatch):
    commands = []

    def run(command, **options):
        commands.append((command, options["cwd"]))
        return subprocess.CompletedProcess(command, len(commands) - 1)

    monkeypatch.setattr(build.subprocess, "run", run)
    assert build.execute(chapters, tmp_path) and not build.execute(chapters, tmp_path)
    command, folder = commands[0]
    assert command[-2:] == [str(path) for path in chapters] and folder == tmp_path
    plugins = {"cvprod.book.pytest_keep", "cvprod.book.pytest_turns"}
    assert plugins | {f"--nbval-cell-timeout={build.CELL_TIMEOUT}"} <= set(command)


def test_a_cell_may_take_as_long_in_both_ways():
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["execute"]["timeout"] == build.CELL_TIMEOUT


@pytest.fixture(scope="module")
def fake_book(tmp_path_factory):
    """A book of two chapters with a planted raise in the second, built for real: its root, and what the build said."""
    root = tmp_path_factory.mktemp("book")
    (root / "notebooks").mkdir()
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    sphinx = {
        "local_extensions": {"cvprod_site": str(ROOT / "book/_ext")},
        "config": {key: value for key, value in config["sphinx"]["config"].items() if key.startswith("nb_")},
    }
    small = {"title": "x", "logo": "", "execute": config["execute"], "only_build_toc_files": True, "sphinx": sphinx}
    (root / "_config.yml").write_text(yaml.safe_dump(small))
    names = ["01_good", "02_bad"]
    chapters = [{"file": f"notebooks/{name}"} for name in names]
    contents = {"format": "jb-book", "root": "index", "chapters": chapters}
    (root / "_toc.yml").write_text(yaml.safe_dump(contents))
    (root / "index.md").write_text("# The book\n")
    new = nbformat.v4.new_code_cell
    for name, cells in zip(
        names, (["print('fine')"], ["raise OSError('planted')", "print('went', 'on')"]), strict=True
    ):
        title = nbformat.v4.new_markdown_cell(f"# {name}")
        notebooks.write(nbformat.v4.new_notebook(cells=[title, *map(new, cells)]), root / f"notebooks/{name}.ipynb")
    good = root / "notebooks/01_good.ipynb"  # executed before, so that no pytest has to start
    build.drop_stale_cache(root)
    build.keep(failures.run_to_the_end(good, timeout=60), good, root / "_build/.jupyter_cache", 1.0)
    return root, _make_book(root)


def _make_book(root, *options):
    code = "import sys, pathlib\nfrom cvprod.book import build\n"
    code += "sys.exit(build.main(sys.argv[2:], root=pathlib.Path(sys.argv[1])))"
    words = [sys.executable, "-c", code, str(root), *options]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_planted_raise_leaves_a_whole_site_a_warning_on_its_page_and_exit_1(fake_book):
    root, done = fake_book
    assert done.returncode == 1, done.stdout + done.stderr
    assert "02_bad.ipynb, cell 2: OSError: planted" in done.stderr and "01_good" not in done.stderr
    site = root / "_build/html"
    good, bad = ((site / f"notebooks/{name}.html").read_text() for name in ("01_good", "02_bad"))
    assert (site / "index.html").is_file() and "fine" in good and "A cell failed" not in good
    assert bad.count("A cell failed") == 2 and "one cell of this page failed" in bad
    assert bad.index("one cell of this page") < bad.index("planted") and "went on" in bad


def test_a_failed_chapter_runs_again_and_is_whole_once_it_is_mended(fake_book):
    root, _ = fake_book
    assert build.not_executed(root) == [root / "notebooks/02_bad.ipynb"]
    bad = notebooks.read(root / "notebooks/02_bad.ipynb")
    bad.cells[1].source = "print('mended')"
    notebooks.write(bad, root / "notebooks/02_bad.ipynb")
    done = _make_book(root, "--chapter", "02")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (root / "_build/02_bad/_build/html/notebooks/02_bad.html").read_text()
    assert "mended" in page and "A cell failed" not in page
    assert build.not_executed(root) == []


def test_a_failed_chapter_is_kept_for_the_page_and_still_counts_as_not_executed(tmp_path):
    path = tmp_path / "notebooks/01_a.ipynb"
    path.parent.mkdir()
    cells = [nbformat.v4.new_code_cell(source) for source in ("1 / 0", "print('on')")]
    notebooks.write(nbformat.v4.new_notebook(cells=cells), path)
    before = path.read_bytes()
    (failure,) = build.execute_alone(path, tmp_path)
    assert (failure.number, path.read_bytes()) == (1, before) and "ZeroDivisionError" in str(failure)
    assert build.cached(path, tmp_path).cells[1].outputs[0].text == "on\n"
    assert build.not_executed(tmp_path) == [path]


def test_a_chapter_that_is_none_is_told(capsys):
    assert build.main(["--chapter", "77"]) == 2
    assert "no chapter '77'; use one of 01, 02" in capsys.readouterr().err


def test_a_mode_that_is_none_is_told_before_the_work(capsys, monkeypatch):
    monkeypatch.setenv("CVPROD_CLAIMS", "lenient")
    monkeypatch.setattr(build, "build", lambda *_: pytest.fail("it began"))
    assert build.main([]) == 2 and "use one of reader, strict, publish" in capsys.readouterr().err


def test_publishing_refuses_a_page_on_which_a_claim_does_not_hold(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks/01_a.ipynb"
    cell = nbformat.v4.new_code_cell("1")
    notebooks.write(nbformat.v4.new_notebook(cells=[cell]), path)
    noted = notebooks.read(path)
    html = '<div class="admonition warning claim-note">'
    noted.cells[0].outputs = [nbformat.v4.new_output("display_data", {"text/html": html})]
    build.keep(noted, path, tmp_path / "_build/.jupyter_cache", 1.0)
    found = build.unheld(tmp_path)
    assert found == ["01_a.ipynb"]
    monkeypatch.setattr(build, "build", lambda *_: (0, []))
    monkeypatch.setattr(build, "unheld", lambda root: found)
    for mode, status in (("reader", 0), ("publish", 1)):
        monkeypatch.setenv("CVPROD_CLAIMS", mode)
        assert build.main([]) == status
    assert "Not to be published" in capsys.readouterr().err


@pytest.mark.parametrize(("cells", "blamed"), [
    (["1", "import os; os._exit(1)", "2"], 2), (["import time; time.sleep(60)", "1"], 1), (["1/0", "1/0"], 1)
])  # fmt: skip
def test_a_run_to_the_end_blames_the_cell_at_which_it_went_wrong(tmp_path, cells, blamed):
    code = [nbformat.v4.new_code_cell(source) for source in cells]
    notebooks.write(nbformat.v4.new_notebook(cells=code), tmp_path / "a.ipynb")
    ran = failures.run_to_the_end(tmp_path / "a.ipynb", timeout=3)
    assert failures.failures(ran, "a")[0].number == blamed
