"""Where the repository is, for the few files that live beside the package and not in it."""

from __future__ import annotations

from pathlib import Path


def root() -> Path:
    """The repository's top folder: around this package, or else around the working directory.

    Raises FileNotFoundError when neither lies in a checkout.
    """
    here = Path(__file__).resolve().parents[1]
    for folder in (here, Path.cwd(), *Path.cwd().parents):
        if (folder / "deploy" / "contract.yaml").is_file() or (folder / "_toc.yml").is_file():
            return folder
    raise FileNotFoundError(
        "This needs the project's files beside the package: work in a clone of the repository "
        "(pip install -e .), not with the installed package alone."
    )
