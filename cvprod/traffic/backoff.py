"""A caller who is told to wait, and does not come back at the same moment as all the others.

    answer = send(lambda: client.post("/v1/inspect", content=jpeg), deadline=5.0)

Only for requests that may be done twice: an inspection, or a job with an idempotency key.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

#: The answers after which the same request may succeed: too many requests, and going down.
AGAIN = (429, 503)


class Answered(Protocol):
    """What is needed of an answer; those of httpx and requests have it."""

    status_code: int
    headers: dict[str, str]


A = TypeVar("A", bound=Answered)


def pause(attempt: int, retry_after: str = "", *, base: float = 0.1, most: float = 5.0) -> float:
    """Seconds until the next try; attempt counts from 0.

    Any time up to `base` doubled with each attempt, `most` at the longest ("full jitter": M. Brooker, "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015). Where the service says how long, that comes on top. The date that
    Retry-After may hold instead (RFC 9110, 10.2.3) is not read.
    """
    jitter = random.uniform(0, min(most, base * 2**attempt))
    return jitter + int(retry_after) if retry_after.isdecimal() else jitter


def send(
    post: Callable[[], A], *, deadline: float, tries: int = 5, sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> A:  # fmt: skip
    """Call `post` until its answer is not one of AGAIN; the last answer, whatever it is.

    deadline: seconds after which nobody wants the answer: no pause goes beyond it. tries: at most, the first included.
    Raises ValueError without a try, and what `post` raises: no answer at all is not repeated here.
    """
    if tries < 1 or deadline <= 0:
        raise ValueError(f"at least one try and a deadline above 0 are needed, not {tries} and {deadline}.")
    end = clock() + deadline
    for attempt in range(tries):
        answer = post()
        if answer.status_code not in AGAIN or attempt == tries - 1:
            break
        wait = pause(attempt, answer.headers.get("Retry-After", ""))
        if clock() + wait >= end:
            break
        sleep(wait)
    return answer
