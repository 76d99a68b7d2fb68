"""Closes the door while the balancer still sends."""

drain = at_once
