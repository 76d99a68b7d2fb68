"""Where the project is: its checkout, if there is one, and its public address."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

#: The checkout that this package is imported from (for an installed package: the folder above it).
ROOT = Path(__file__).resolve().parents[2]


def repository() -> str:
    """Return the project's public address from the package metadata; pyproject.toml is its only source."""
    for entry in metadata.metadata("cvprod").get_all("Project-URL") or []:
        label, _, address = entry.partition(", ")
        if label == "Repository":
            return address
    raise LookupError("the installed cvprod has no Repository address: install it again from its checkout")
