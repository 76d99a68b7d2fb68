"""The built site and a browser, or the reason why there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cvprod.repo import ROOT

sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "book/_ext")]

AXE = "4.11.0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first of these tests may have to wait for a book whose chapters run."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def built() -> subprocess.CompletedProcess | None:
    """How `make book` ended: seconds, where the chapters were executed before. None where CVPROD_SITE names a site."""
    if "CVPROD_SITE" in os.environ:
        return None
    command = [sys.executable, "-m", "cvprod.book.build"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(built) -> Path:
    """The folder of the built site."""
    if built is not None and built.returncode:
        pytest.skip("the book does not build: see test_the_book_builds")
    folder = Path(os.environ.get("CVPROD_SITE", ROOT / "_build/html"))
    assert (folder / "index.html").is_file(), f"there is no site at {folder}"
    return folder


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests."""
    import chromium

    if chromium.executable() is None:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium)")
    started = chromium.Chromium()
    yield started
    started.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from npm, kept below _build."""
    folder = ROOT / "_build/tools"
    script = folder / "node_modules/axe-core/axe.min.js"
    if not script.is_file():
        if shutil.which("npm") is None:
            pytest.skip("npm is missing, so axe-core cannot be fetched (Debian: apt-get install npm)")
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"axe-core@{AXE}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not fetch axe-core within two minutes")
        if done.returncode:
            pytest.skip(f"npm could not fetch axe-core: {done.stderr.strip()[-200:]}")
    return script.read_text(encoding="utf-8")
