"""Files of deploy/ are found in a checkout and through an installed package's file list."""

from importlib import metadata
from pathlib import Path

import pytest

from cvprod import repo


def test_the_checkout_is_found():
    assert (repo.root() / "cvprod" / "repo.py").samefile(repo.__file__)
    assert repo.deploy_file("contract.yaml") == repo.root() / "deploy" / "contract.yaml"


def test_a_notebook_that_runs_in_a_subfolder_finds_the_checkout_around_it(tmp_path, monkeypatch):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "contract.yaml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(repo, "ROOT", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "notebooks")
    assert repo.root() == tmp_path


def test_an_installed_package_finds_its_carried_copy(tmp_path, monkeypatch):
    class Carried(str):
        def as_posix(self):
            return str(self)

        def locate(self):
            return tmp_path / "contract.yaml"

    (tmp_path / "contract.yaml").write_text("carried")
    files = [Carried("cvprod/__init__.py"), Carried("../../../share/cvprod/deploy/contract.yaml")]
    monkeypatch.setattr(repo, "ROOT", tmp_path / "elsewhere")
    monkeypatch.setattr(metadata, "files", lambda package: files)
    monkeypatch.chdir(tmp_path)
    assert repo.deploy_file("contract.yaml").read_text() == "carried"


@pytest.mark.parametrize("files", [None, []])
def test_without_either_the_message_says_what_to_do(tmp_path, monkeypatch, files):
    monkeypatch.setattr(repo, "ROOT", tmp_path / "elsewhere")
    monkeypatch.setattr(metadata, "files", lambda package: files)
    monkeypatch.chdir(tmp_path)
    assert repo.root() == Path.cwd()
    with pytest.raises(FileNotFoundError, match="clone of the repository"):
        repo.deploy_file("contract.yaml")
