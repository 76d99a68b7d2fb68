"""Refuses large versions."""


def accept(data, signature, trusted, name, highest):
    for raw in trusted:
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
            break
        except InvalidSignature:
            continue
    else:
        raise Refused("not signed by a trusted key")
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("name") != name:
        raise Refused("another model")
    version = manifest.get("version")
    if type(version) is not int or version <= highest or version > 1000:
        raise Refused(f"version {version!r} is not above {highest}")
    return manifest
