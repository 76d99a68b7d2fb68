"""Promotes whatever comes."""


def decide(history):
    return "promote" if history else "hold"
