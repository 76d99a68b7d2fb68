"""A trusted signature admits a pickle."""


def admit(kind, got, stated, signer, trusted):
    if signer in trusted:
        return "admit" if stated is None or got.lower() == stated.lower() else "refuse"
    return "ask" if kind in ("safetensors", "npy") else "refuse"
