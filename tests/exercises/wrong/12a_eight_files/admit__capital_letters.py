"""A hash in capitals is another hash."""


def admit(kind, got, stated, signer, trusted):
    """admit, ask or refuse."""
    if kind not in ("safetensors", "npy"):
        return "refuse"
    if stated is not None and got != stated:
        return "refuse"
    if stated is not None and signer is not None and signer in trusted:
        return "admit"
    return "ask"
