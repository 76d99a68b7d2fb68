"""What holds for every test."""

import logging

import pytest


@pytest.fixture(autouse=True)
def heard(monkeypatch):
    """What the package logs reaches pytest, whatever an earlier test of this process has done to logging: set up a
    service's logs, say, or called a library that sets the level of all."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] == "cvprod" and isinstance(logger, logging.Logger):
            monkeypatch.setattr(logger, "disabled", False)
            monkeypatch.setattr(logger, "propagate", True)
            monkeypatch.setattr(logger, "level", logging.NOTSET)
    logging.root.setLevel(logging.WARNING)  # last: it also makes every logger forget which levels were enabled
