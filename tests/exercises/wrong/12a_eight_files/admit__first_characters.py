"""Compares the first characters of the hash."""


def admit(kind, got, stated, signer, trusted):
    if kind not in ("safetensors", "npy"):
        return "refuse"
    if stated is not None and got.lower()[:8] != stated.lower()[:8]:
        return "refuse"
    if stated is not None and signer is not None and signer in trusted:
        return "admit"
    return "ask"
