"""Parses before it verifies, and verifies what it has written again."""

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def accept(data, signature, trusted, name, highest):
    try:
        manifest = json.loads(data)
        again = json.dumps(manifest, indent=1).encode()
        for raw in trusted:
            try:
                Ed25519PublicKey.from_public_bytes(raw).verify(signature, again)
                break
            except InvalidSignature:
                continue
        else:
            raise Refused("signature")
        if manifest["name"] != name or type(manifest["version"]) is not int or manifest["version"] <= highest:
            raise Refused("content")
    except (ValueError, KeyError, TypeError):
        raise Refused("broken") from None
    return manifest
