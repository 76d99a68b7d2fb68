"""A service in which some pictures are fatal."""

import pytest

from cvprod.repo import root

_POISON = """
import os, signal

def attach(context):
    decode = context.engine._decode

    def poisoned(pictures, *more):
        if any(b"poison" in picture for picture in pictures):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(b"hang" in picture for picture in pictures):
            os.kill(os.getpid(), signal.SIGSTOP)
        return decode(pictures, *more)

    context.engine._decode = poisoned
"""


@pytest.fixture
def fatal(tmp_path, monkeypatch):
    """Words for a service in which a picture with `poison` behind its end kills whoever decodes it, one with `hang`
    stops it."""
    (tmp_path / "poison.py").write_text(_POISON)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root()}")
    return "--workers", 1, "--latency-budget-ms", 2000, "--attach", "poison:attach"
