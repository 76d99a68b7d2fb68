"""Leaves the service as it is."""

serve = slow
