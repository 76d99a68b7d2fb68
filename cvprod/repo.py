"""Where the project is: its files beside the package in a checkout or in its file list, and its public address."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

#: The folder above this package: the checkout, or site-packages once installed.
ROOT = Path(__file__).resolve().parents[1]


def root() -> Path:
    """The checkout around this package, or around the working directory; in neither, the working directory."""
    for folder in (ROOT, Path.cwd(), *Path.cwd().parents):
        if (folder / "deploy" / "contract.yaml").is_file():
            return folder
    return Path.cwd()


def deploy_file(name: str) -> Path:
    """A file of `deploy/`, such as "contract.yaml", which an installed package (Colab) carries along.

    Raises FileNotFoundError where neither a checkout nor the installed package has it.
    """
    return project_file(f"deploy/{name}")


def project_file(name: str) -> Path:
    """The same for any file that an installed package carries along, such as ".github/workflows/test.yml"."""
    path = root() / name
    if path.is_file():
        return path
    try:
        carried = [f for f in metadata.files("cvprod") or [] if f.as_posix().endswith(f"cvprod/{name}")]
    except metadata.PackageNotFoundError:
        carried = []
    for file in carried:
        located = Path(str(file.locate()))
        if located.is_file():
            return located
    raise FileNotFoundError(f"{name} was not found; run from a clone of the repository.")


def repository() -> str:
    """The project's public address, from the package metadata; pyproject.toml is its only source.

    Raises LookupError when the installed package does not carry it.
    """
    for entry in metadata.metadata("cvprod").get_all("Project-URL") or []:
        label, _, address = entry.partition(", ")
        if label == "Repository":
            return address
    raise LookupError("the installed cvprod has no Repository address: install it again from its checkout")
