"""A function for each of the three questions."""


def accept(data, signature, trusted, name, highest):
    def signed(raw):
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def parsed():
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return None

    if not any(map(signed, trusted)):
        raise Refused("signature")
    manifest = parsed()
    if type(manifest) is not dict or "name" not in manifest or manifest["name"] != name:
        raise Refused("name")
    version = manifest.get("version", -1)
    if isinstance(version, bool) or not isinstance(version, int) or not version > highest:
        raise Refused("version")
    return manifest
