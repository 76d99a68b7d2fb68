"""Keeps everything."""


def admit(pictures, repaired, logits, budget):
    return dict.fromkeys(pictures, "keep")
