"""Who made this model, and has it been changed since: signatures of model cards.

The card holds the hash of the model's file, so signing the card's bytes signs both. Keys and signatures are those of
the edge updates (`cvprod.edge.manifest`: Ed25519); the service checks them itself (`cvprod.serving.card`) when it is
started with `--model-keys`. The OpenSSF's model-signing signs whole folders and speaks Sigstore; see chapter 12.
"""

from __future__ import annotations

from pathlib import Path

from cvprod.edge import manifest
from cvprod.files import write_atomic
from cvprod.serving import card as serving


def sign(card: Path, key: Path) -> Path:
    """Sign a model's card, after its file has been held to it; returns the signature's path.

    Raises ModelError for a model that must not serve, UpdateError for a key that is none.
    """
    where = card if card.suffix == ".json" else card.with_suffix(".json")
    serving.read(where)
    path = where.with_name(where.name + serving.SIGNATURE)
    write_atomic(path, manifest.sign(where.read_bytes(), manifest.load_key(key)))
    return path


def trust(public: str, keys: Path) -> Path:
    """Add a public key (base64, as `manifest.new_key` gives it) to a file of trusted keys."""
    with keys.open("a") as file:
        file.write(public + "\n")
    return keys
