"""What a command has measured once and wrote with ``--json``, so that pages can tell it where nobody can repeat it."""

from __future__ import annotations

import json
from pathlib import Path

from cvprod.models import WeightsError


def read(path: Path, key: str, sha256: str, refusal: str) -> dict:
    """The record at `path`, of the weights that are shipped: `sha256` is what it must have under `key`.

    Raises WeightsError where it has another checksum: the path, and `refusal`, which says what to do.
    """
    said = json.loads(path.read_text("utf-8"))
    if said[key] != sha256:
        raise WeightsError(f"{path} {refusal}")
    return said
