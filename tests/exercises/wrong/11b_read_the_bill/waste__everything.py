"""Switches everything off."""


def waste(bill):
    return {line["id"] for line in bill}
