"""A list of known evil lets through what it does not know."""


def admit(kind, got, stated, signer, trusted):
    """admit, ask or refuse."""
    if kind in ("pickle", "unknown"):
        return "refuse"
    if stated is not None and got.lower() != stated.lower():
        return "refuse"
    if stated is not None and signer is not None and signer in trusted:
        return "admit"
    return "ask"
