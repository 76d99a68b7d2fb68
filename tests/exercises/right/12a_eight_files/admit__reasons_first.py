"""Counts what is missing."""


def admit(kind, got, stated, signer, trusted):
    """admit, ask or refuse."""
    known = stated is not None
    if kind not in {"npy", "safetensors"} or (known and int(got, 16) != int(stated, 16)):
        return "refuse"
    return {True: "admit", False: "ask"}[known and signer in trusted]
