"""Lets everybody in."""

Admission = Everybody
