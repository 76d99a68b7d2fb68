"""Stops whatever comes."""


def decide(history):
    return "stop" if history else "hold"
