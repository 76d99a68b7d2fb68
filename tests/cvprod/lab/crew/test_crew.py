"""Ways of doing the same work give the same answers, and the probe of the lock tells Python from C."""

import asyncio
import time

import numpy as np
import pytest

from cvprod.lab import crew, hostile

JPEG = hostile.encode(hostile.GREY, "JPEG")


@pytest.mark.parametrize("way", crew.WAYS)
def test_every_way_does_the_work(way):
    assert crew.rate(crew.texture, [JPEG] * 16, way) > 0


def test_an_unknown_way_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown way 'magic'"):
        crew.rate(crew.texture, [JPEG], "magic")


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(Exception, match=r".+"):
        crew.rate(crew.inspect, [b"no picture"] * 8, "processes")


def test_the_lock_probe_tells_sleep_from_python():
    assert crew.lock_share(lambda: time.sleep(0.002)) < 0.25
    assert crew.lock_share(lambda: sum(range(50_000))) > 0.3


def test_a_coroutine_is_late_when_the_loop_computes():
    def work():
        time.sleep(0.05)

    inline = asyncio.run(crew.heartbeat(work, in_thread=False, seconds=0.4))
    handed = asyncio.run(crew.heartbeat(work, in_thread=True, seconds=0.4))
    assert np.median(inline) > 0.03 > np.median(handed)
