"""Python's garbage collector, kept out of work that makes no garbage."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Run a block without the collector of cycles; what has no reference left is still freed at once.

    To record a network makes objects by the million, nearly all of which stay until it is written; the collector looks
    through them again and again for cycles, which takes a fifth of an export. For conversions and imports, whose end is
    near: in a loop that never ends memory would grow.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
