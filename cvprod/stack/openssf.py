"""OpenSSF model signing: one signature over every file of a model's folder, made and checked without a network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cvprod.stack import peers

#: The signature's name beside the folder: a Sigstore bundle.
SIGNATURE = "model.sig"


class SignatureError(ValueError):
    """The folder is not what was signed, or was not signed with this key."""


def new_key(private: Path, public: Path) -> None:
    """Write a new pair of keys (EC P-256, PEM); only its owner may read the private one."""
    key = ec.generate_private_key(ec.SECP256R1())
    kept = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    private.touch(mode=0o600)
    private.write_bytes(kept)
    told = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(told)


def sign(folder: Path, private: Path) -> Path:
    """Sign a folder; returns the signature's path, beside the folder.

    Raises SignatureError where it cannot be signed, RuntimeError where the tool's environment cannot be made (see
    `peers`), without a network for instance.
    """
    signature = folder.parent / SIGNATURE
    _run("sign", "key", folder, "--signature", signature, "--private_key", private)
    return signature


def verify(folder: Path, signature: Path, public: Path) -> None:
    """Hold a folder to its signature: every file as it was, none missing, none added. Raises as `sign` does."""
    _run("verify", "key", folder, "--signature", signature, "--public_key", public)


def _run(*arguments: object) -> None:
    python = peers.environment("signing")
    command = [python, "-m", "model_signing", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["model_signing said nothing"]
        # It ends in `... failed with error: REASON: Expected Digest(...), Actual Digest(...)`; the digests help nobody.
        reason = said[-1].split(" failed with error: ")[-1].split(": Expected ")[0]
        raise SignatureError(re.sub(r'[\[\]"]', "", reason).strip())
