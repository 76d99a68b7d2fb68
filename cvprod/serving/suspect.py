"""A request that comes a second time may be the one that killed its first reader. So it is tried in a process that may
die of it, before this worker looks at it.

A balancer that asks elsewhere when no answer came cannot know why none came: a worker that somebody killed and a
picture that kills whoever decodes it look the same from outside. It marks its second try (`HEADER`), and only those
pay for the trial: a fork, and the work done twice. Jobs do the same with the picture at which a worker left one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable
from contextvars import ContextVar

#: What deploy/haproxy sets on its second try, and takes from whoever else sets it.
HEADER = b"x-second-try"
_PR_SET_PDEATHSIG = 1  # prctl(2)
#: Whether the request at hand is one.
second_try: ContextVar[bool] = ContextVar("second_try", default=False)


async def survives(work: Callable[[], object], seconds: float) -> bool:
    """Whether a copy of this process outlives `work`. An exception is no death: the worker will meet it again, and
    answer. Raises TimeoutError where it takes longer than `seconds`.

    The copy has only the thread that made it: what `work` needs must not wait for another one.
    """
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _end_with(parent)
            work()
        os._exit(0)
    ended = asyncio.ensure_future(asyncio.to_thread(os.waitpid, child, 0))
    try:
        done, _ = await asyncio.wait([ended], timeout=seconds)
    finally:
        if not ended.done():  # also where nobody waits for it any longer
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    if not done:
        await ended
        raise TimeoutError
    return ended.result()[1] == 0


def _end_with(parent: int) -> None:
    """Let this process be killed when its parent dies. It holds copies of all that the parent has open: the supervisor
    would not see that its worker is gone, nor callers that their connection is, nor anybody the lock of a job."""
    with contextlib.suppress(AttributeError, OSError):  # no Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was quicker
        os._exit(1)
