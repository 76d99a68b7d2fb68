"""Knows one key: on the day the key is changed, every device is cut off."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def accept(data, signature, trusted, name, highest):
    try:
        Ed25519PublicKey.from_public_bytes(trusted[0]).verify(signature, data)
        manifest = json.loads(data)
        if manifest["name"] != name or type(manifest["version"]) is not int or manifest["version"] <= highest:
            raise Refused("content")
    except (InvalidSignature, IndexError, ValueError, KeyError, TypeError):
        raise Refused("no") from None
    return manifest
