"""Whoever nests brackets deeply enough ends the update client: a RecursionError is no ValueError."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def accept(data, signature, trusted, name, highest):
    for raw in trusted:
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
            break
        except InvalidSignature:
            continue
    else:
        raise Refused("signature")
    try:
        manifest = json.loads(data)
        if manifest["name"] != name or type(manifest["version"]) is not int or manifest["version"] <= highest:
            raise Refused("content")
    except (ValueError, KeyError, TypeError):
        raise Refused("content") from None
    return manifest
