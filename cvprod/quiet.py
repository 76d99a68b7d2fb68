"""Around conversions: silence what converters print, and pause the garbage collector while they allocate."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import warnings
from collections.abc import Iterator

#: Native log thresholds that libraries read once, when they are first imported.
_NATIVE = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "2", "TORCH_CPP_LOG_LEVEL": "ERROR"}

# OpenVINO and NNCF report every conversion to their maker, from a forked process, and ask nobody. Both go without where
# this package is missing; None stands for a package that is.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@contextlib.contextmanager
def quiet(*, native: bool = False) -> Iterator[None]:
    """Keep converters' chatter off the reader's page; exceptions still come through.

    Silences what a converter says about itself: Python warnings, log records below ERROR, progress bars of rich (in a
    notebook they are widgets, which a page cannot show), and (native=True) what C++ code writes to the process's
    standard output and error, which no Python setting reaches. The caller's settings are restored afterwards. Use it
    around conversions and imports, never around the measured call.
    """
    for key, value in _NATIVE.items():
        os.environ.setdefault(key, value)
    disabled, level = logging.root.manager.disable, logging.root.level
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), _no_bars(), _muted() if native else contextlib.nullcontext():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logging.root.setLevel(level)  # OpenVINO's converter leaves it at ERROR: every later warning would be lost


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Let rich's own console, the one that bars use unless they are given another, say nothing."""
    try:
        from rich import get_console
    except ImportError:  # a lean environment: then nobody draws with it either
        yield
        return
    console = get_console()
    before = console.quiet, console.is_jupyter
    console.quiet, console.is_jupyter = True, False
    try:
        yield
    finally:
        console.quiet, console.is_jupyter = before


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Point file descriptors 1 and 2, and sys.stdout, at the null device."""
    with open(os.devnull, "w") as null:  # noqa: PTH123 - os.devnull is a name, not a path of ours
        saved = [os.dup(1), os.dup(2)]
        try:
            with contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
                os.dup2(null.fileno(), 1)
                os.dup2(null.fileno(), 2)
                yield
        finally:
            for target, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, target)
                os.close(copy)


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
