"""A request that comes a second time may be the one that killed its first reader. So it is tried in a process that may
die of it, before this worker looks at it.

A balancer that asks elsewhere when no answer came cannot know why none came: a worker that somebody killed and a
picture that kills whoever decodes it look the same from outside. It marks its second try (`HEADER`), and only those
pay for the trial: a fork, and the work done twice. Jobs do the same with the picture at which a worker left one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from contextvars import ContextVar

#: What deploy/haproxy sets on its second try, and takes from whoever else sets it.
HEADER = b"x-second-try"
#: Whether the request at hand is one.
second_try: ContextVar[bool] = ContextVar("second_try", default=False)


async def survives(work: Callable[[], object], seconds: float) -> bool:
    """Whether a copy of this process outlives `work`. An exception is no death: the worker will meet it again, and
    answer. Raises TimeoutError where it takes longer than `seconds`.

    The copy has only the thread that made it: what `work` needs must not wait for another one.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    ended = asyncio.ensure_future(asyncio.to_thread(os.waitpid, child, 0))
    done, _ = await asyncio.wait([ended], timeout=seconds)
    if not done:
        os.kill(child, signal.SIGKILL)
        await ended
        raise TimeoutError
    return ended.result()[1] == 0
