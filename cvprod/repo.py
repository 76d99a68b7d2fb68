"""Where the project's files are: beside the package in a checkout, in the package's file list once installed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def root() -> Path:
    """The checkout around this package, or around the working directory; in neither, the working directory."""
    for folder in (HERE, Path.cwd(), *Path.cwd().parents):
        if (folder / "deploy" / "contract.yaml").is_file():
            return folder
    return Path.cwd()


def deploy_file(name: str) -> Path:
    """A file of `deploy/`, such as "contract.yaml", which an installed package (Colab) carries along.

    Raises FileNotFoundError where neither a checkout nor the installed package has it.
    """
    path = root() / "deploy" / name
    if path.is_file():
        return path
    try:
        carried = [f for f in metadata.files("cvprod") or [] if f.as_posix().endswith(f"cvprod/deploy/{name}")]
    except metadata.PackageNotFoundError:
        carried = []
    for file in carried:
        located = Path(str(file.locate()))
        if located.is_file():
            return located
    raise FileNotFoundError(f"deploy/{name} was not found; run from a clone of the repository.")
