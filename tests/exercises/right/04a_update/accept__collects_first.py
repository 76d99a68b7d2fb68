"""Asks all keys, then looks inside."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def _signed(raw, signature, data):
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
        return True
    except InvalidSignature:
        return False


def accept(data, signature, trusted, name, highest):
    if not any([_signed(raw, signature, data) for raw in trusted]):
        raise Refused("signature")
    try:
        manifest = json.loads(data.decode())
        good = manifest["name"] == name and manifest["version"] > highest
        if not good or not isinstance(manifest["version"], int) or isinstance(manifest["version"], bool):
            raise Refused("content")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("content") from error
    return manifest
