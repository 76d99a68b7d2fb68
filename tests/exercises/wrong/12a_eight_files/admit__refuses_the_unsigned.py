"""Refuses where a person should decide."""


def admit(kind, got, stated, signer, trusted):
    """admit, ask or refuse."""
    if kind not in ("safetensors", "npy"):
        return "refuse"
    if stated is not None and got.lower() != stated.lower():
        return "refuse"
    if stated is not None and signer is not None and signer in trusted:
        return "admit"
    return "refuse"
