"""What `make book` clears up before it builds."""

import tomllib

from cvprod.lab import book
from cvprod.repo import ROOT


def test_the_leftover_of_a_failed_build_goes_and_a_good_folder_stays(tmp_path):
    static = tmp_path / "_build/html/_static"
    static.parent.mkdir(parents=True)
    book.forget_failed_build(tmp_path)  # nothing there
    static.write_text("<svg/>")
    book.forget_failed_build(tmp_path)
    assert not static.exists()
    static.mkdir()
    (static / "style.css").touch()
    book.forget_failed_build(tmp_path)
    assert (static / "style.css").is_file()


def test_executed_chapters_are_dropped_when_something_changes_that_they_read(tmp_path):
    for name in ("cvprod/code.py", "deploy/haproxy/haproxy.cfg", "requirements.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    kept = tmp_path / "_build/.jupyter_cache/global.db"
    assert book.drop_stale_cache(tmp_path)
    kept.parent.mkdir()
    kept.touch()
    assert not book.drop_stale_cache(tmp_path) and kept.exists()
    (tmp_path / "deploy/haproxy/haproxy.cfg").write_text("new")
    assert book.drop_stale_cache(tmp_path) and not kept.exists()


def test_files_that_notebooks_read_are_among_them():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    paths = [path for group in data.values() for path in group]
    assert paths and all(path.split("/")[0] in book.INPUTS for path in paths)
