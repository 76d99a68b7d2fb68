"""What `make book` clears up before it builds."""

import tomllib

import pytest

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


@pytest.mark.parametrize(("set_to", "expected"), [(None, book.SPIN[1]), ("7", "7")])
def test_chapters_run_with_threads_that_sleep_soon(tmp_path, monkeypatch, set_to, expected):
    monkeypatch.delenv(book.SPIN[0], raising=False)
    if set_to:
        monkeypatch.setenv(book.SPIN[0], set_to)
    program = tmp_path / "jupyter-book"
    program.write_text(f'#!/bin/sh\ntest "${book.SPIN[0]}" = {expected} && test -n "$PATH"\n')
    program.chmod(0o755)
    monkeypatch.setattr(book.sysconfig, "get_path", lambda name: str(tmp_path))
    assert book.build(tmp_path) == 0


def test_files_that_notebooks_read_are_among_them():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    paths = [path for group in data.values() for path in group]
    assert paths and all(path.split("/")[0] in book.INPUTS for path in paths)
