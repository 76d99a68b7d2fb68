"""A person decides everything, and soon waves it through."""


def admit(kind, got, stated, signer, trusted):
    return "ask"
